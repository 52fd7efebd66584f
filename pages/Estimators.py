"""Estimators: budgets learnt from searches, and how well they predict."""

from ui.estimators.page import draw
from ui.shell import show

show(draw, roles=("owner",))
