"""Experiments: many questions, several ways of asking, what each costs and what it gets right."""

from ui.experiments.page import draw
from ui.shell import show

show(draw)
