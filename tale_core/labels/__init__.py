"""Labelling: people say which answers are right and what the known answers are, and everything follows.

`labeling` is what a page or a command uses, and works searches and sweeps out anew; `agreement` says how far people
agree; `gold_files` imports known answers; `training_files` exports what estimators and models learn from; `text`
says what a label moved.
"""

from tale_core.labels.labeling import Labeling, catch_up, rederive

__all__ = ["Labeling", "catch_up", "rederive"]
