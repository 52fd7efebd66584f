"""Ask: a question, its budget, and both answers side by side. The first screen and the main job."""

from ui.ask_page import draw
from ui.shell import show

show(draw)
