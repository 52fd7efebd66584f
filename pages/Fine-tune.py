"""Fine-tune: make the model brief by itself, and see it against its base."""

from ui.finetune.page import draw
from ui.shell import show

show(draw, roles=("owner",))
