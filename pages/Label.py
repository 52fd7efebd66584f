"""Label: people say which answers are right, one at a time, by keyboard, and everything follows."""

from ui.label.page import draw
from ui.shell import show

show(draw)
