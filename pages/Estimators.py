"""Estimators: budgets learnt from searches, and how well they predict."""

from ui.estimators_page import draw
from ui.shell import show

show(draw)
