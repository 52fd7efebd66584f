"""Settings: model and endpoint, sampling, the prompt template."""

from ui.settings.page import draw
from ui.shell import show

show(draw)
