"""Class: a lesson without a model, and rooms in which a class guesses and asks together."""

from ui.lesson.page import draw
from ui.shell import show

show(draw, roles=("owner", "member", "student"))
