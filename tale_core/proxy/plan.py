"""What a drop-in endpoint is to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, get_args

from tale_core.calls.budget_ledger import Limits
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.proxy.change import Change

Mode = Literal["observe", "save"]
MODES: Final = get_args(Mode)
SECOND_REQUESTS: Final = 200
"""Within a day, where nothing else is said."""
LEAST_PAIRS: Final = 30
"""Questions that were asked both ways before a change is chosen by itself."""

ERROR: Final = 0.05
"""The probability, for each model, that a change is ever chosen that does not save or agrees too seldom, at most."""


@dataclass(frozen=True, slots=True)
class ProxyPlan:
    """What it does.

    Attributes:
        upstream: Whom it passes requests on to; a normalised address.
        sample: The share of requests that are asked both ways.
        limits: Of second requests, within a day.
        changes: What is tried; empty for what is usual with the model.
        allowed: Reasons to leave a request alone that do not count.
        agree: A change is chosen where answers surely agree in more than this share.
        keep: How long the texts of what was asked both ways are kept; None keeps none.
    """

    upstream: str
    mode: Mode = "observe"
    sample: float = 0.05
    limits: Limits = field(default_factory=lambda: Limits(max_calls=SECOND_REQUESTS))
    changes: tuple[Change, ...] = ()
    allowed: frozenset[str] = frozenset()
    agree: float = 0.9
    keep: timedelta | None = None

    def validate(self) -> None:
        """Check the numbers.

        Raises:
            InputError: One cannot be used.
        """
        for value, name in ((self.sample, "--sample"), (self.agree, "--agree")):
            if not 0 <= value <= 1:
                raise InputError(t("{name} is {given:g}.", name=name, given=value), t("Give a share from 0 to 1."))
        if self.keep is not None and not timedelta(0) < self.keep <= timedelta(days=366):
            raise InputError(t("Texts were to be kept for {days:g} days.", days=self.keep.total_seconds() / 86_400),
                             t("Give up to 366 days, or leave it out: then none are kept."))  # fmt: skip
