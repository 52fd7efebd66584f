"""Settings: model and endpoint, sampling, the prompts' wording."""

from ui.settings_page import draw
from ui.shell import show

show(draw)
