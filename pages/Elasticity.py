"""Elasticity: what the model really spends when it is asked to spend less."""

from ui.elasticity_page import draw
from ui.shell import show

show(draw)
