"""Search: the smallest budget that keeps the answer right, watched while it is found."""

from ui.search.page import draw
from ui.shell import show

show(draw)
