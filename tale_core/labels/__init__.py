"""Labelling: people say which answers are right and what the known answers are, and everything follows.

`desk` is what a page or a command uses; `studies` works searches and sweeps out anew; `agreement` says how far people
agree; `gold_files` imports known answers; `training_files` exports what estimators and models learn from; `words` says
what a label moved.
"""

from tale_core.labels.desk import Desk, catch_up

__all__ = ["Desk", "catch_up"]
