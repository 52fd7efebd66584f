"""Elasticity: what the model really spends when it is asked to spend less."""

from ui.elasticity.page import draw
from ui.shell import show

show(draw)
