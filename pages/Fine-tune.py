"""Fine-tune: make the model brief by itself, and see it against its base."""

from ui.shell import show
from ui.tuning_page import draw

show(draw)
