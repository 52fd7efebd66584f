"""Set up: the template, searches and an estimator for a model, one after the other, within a cap."""

from ui.setup.page import draw
from ui.shell import show

show(draw, roles=("owner",))
