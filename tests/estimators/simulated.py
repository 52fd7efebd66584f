"""Searches with a known law: the optimum follows the number of steps that the question spells out."""

import math
import random

from tale_core.estimators.rows import TrainingRow
from tale_core.types import Question

MODEL, TEMPLATE = "simulated", "paper"


def question(steps, seed=0):
    rng = random.Random(seed)
    adding = ", then ".join(f"add {rng.randint(2, 99)} apples" for _ in range(steps))
    return Question(f"Crate {rng.randint(1000, 9999)}: {adding}. How many?", topic="short" if steps < 4 else "long")


def law(steps):
    return 3 + 15 * steps**0.9


def rows(count, *, noise=0.15, seed=0, zero="good", lawful=True):
    """Zero: the model's own estimate is "good" (monotone, five times too low), "same" (10) or None."""
    rng = random.Random(seed)
    made = []
    for i in range(count):
        steps = rng.randint(1, 8)
        budget = round(law(steps if lawful else rng.randint(1, 8)) * math.exp(rng.gauss(0, noise)))
        own = {"good": round(law(steps) / 5 * math.exp(rng.gauss(0, 0.1))), "same": 10, None: None}[zero]
        asked = question(steps, seed=seed * 100_000 + i)
        made.append(TrainingRow(asked, budget, budget * 1.1, budget * 4.0, MODEL, TEMPLATE, zero_shot=own, mode="tale"))
    return made
