"""The sentences of a training's report, and what its predictors are called.

Imports neither scikit-learn nor reports, so that a page can say all of it at once.
"""

from __future__ import annotations

from tale_core.estimators.kinds import TITLES
from tale_core.i18n import N_, t

CALIBRATING_HELPS = N_(
    "Calibrating the model's own estimate helps: the loss is lower than the constant's by {gain} (95 % interval {low} "
    "to {high})."
)
LEARNING_HELPS = N_(
    "Of what costs no call, {title} predicts optima best: the loss is lower than the constant's by {gain} (95 % "
    "interval {low} to {high})."
)
TELLS_NOTHING = N_("The model names {budget} tokens for {count} of {n} questions, which tells nothing; so {used}.")
NOTHING_HELPS = N_(
    "Nothing that was learnt beats a constant beyond noise ({title}: {gain} (95 % interval {low} to {high})); so "
    "{used}."
)
NOTHING_COMPARED = N_("Nothing that was learnt beats a constant beyond noise; so {used}.")
GETS_THE_MIDDLE = N_("every question gets {budget} tokens, the middle of {n} searched optima")
GETS_ENOUGH = N_("every question gets {budget} tokens, enough for {share} of {n} searched optima")

NOT_COMPARED = N_(
    "Not compared: {titles} ({estimates} of {n} questions have the model's own estimate, {least} are needed)."
)
BOTH_ESTIMATES = N_("the model's own estimate and the model's own estimate, calibrated")
"""The titles that are left out together: nothing else is compared only where enough is known."""
OTHER_MODES = N_("The optima come from different search modes ({modes}).")
NEVER_ASKED = N_("{n} searches are left out: the model was never asked for its own estimate there.")
LOOKS_BETTER = N_(
    "The best of several candidates looks a little better than it is. Whether answers under these budgets are right, "
    "and what they cost in all, an experiment has to measure."
)

TOO_FEW = N_("There are too few searches to tell what more of them would bring.")
CANNOT_TELL = N_(
    "Whether {more} more searches would cut the error cannot be told yet (estimated {cut}, 95 % interval {low} to "
    "{high})."
)
WOULD_CUT = N_("{more} more searches would cut the error by about {cut} (95 % interval {low} to {high}).")

CHANCE = N_(
    "{n} questions were searched again: two searches of the same question are a factor of {factor} apart. {value} of "
    "the spread of optima (95 % interval {low} to {high}) lies between such searches, and nothing can predict that."
)
LENGTH_CAN = N_(
    "What the question does tell is how long the answer without a budget will be: {value} closer than the middle "
    "length (95 % interval {low} to {high}; predicted from {title}). Ask draws its answers on that length."
)
LENGTH_CANNOT = N_(
    "How long the answer without a budget will be, the question does not tell beyond noise (predicted from {title}: "
    "{value}, 95 % interval {low} to {high})."
)

NO_TOPIC = N_("no topic")


def title(name: str, stored: str) -> str:
    """What a candidate is called; one of a later version as its report calls it."""
    return t(TITLES[name]) if name in TITLES else stored
