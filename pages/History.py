"""History: every session, searched, filtered, compared, deleted, and carried to another machine."""

from ui.history.page import draw
from ui.shell import show

show(draw)
