"""The answers under one budget, and what they tell together."""

from __future__ import annotations

from tale_core.search.plan import Rule
from tale_core.types import CallRecord, Outcome


class Samples:
    """Answers to one prompt under a rule.

    Args:
        planned: Answers that may be asked for.
        rule: All of them have to be right, or more than half.
    """

    def __init__(self, planned: int, rule: Rule) -> None:
        self._needed = planned if rule == "all" else planned // 2 + 1
        self._planned = planned
        self.calls: list[CallRecord] = []

    @property
    def right(self) -> int:
        """Right answers so far."""
        return sum(c.outcome == Outcome.CORRECT for c in self.calls)

    @property
    def passed(self) -> bool:
        """The rule is met, whatever the answers not asked for would say."""
        return self.right >= self._needed

    @property
    def cut(self) -> bool:
        """The rule is not met, and answers that were cut might have met it: nobody knows."""
        unknown = sum(c.cut for c in self.calls)
        return not self.passed and unknown > 0 and self.right + unknown + self._open >= self._needed

    @property
    def tokens(self) -> float:
        """Mean completion tokens; of cut answers what they had."""
        return sum(c.completion_tokens or 0 for c in self.calls) / len(self.calls)

    @property
    def reused(self) -> bool:
        """Nothing was paid for."""
        return all(c.source == "cached" for c in self.calls)

    @property
    def outcome(self) -> Outcome:
        """Correct when the rule is met, ungraded when only cut answers could tell, else what the first bad one was."""
        if self.passed:
            return Outcome.CORRECT
        if self.cut:
            return Outcome.UNGRADED
        return next((c.outcome for c in self.calls if c.outcome != Outcome.CORRECT and not c.cut), Outcome.UNGRADED)

    @property
    def next_batch(self) -> int:
        """How many answers to ask for at once: as few as may decide it; 0 when it is decided."""
        if self.passed or self.right + self._open < self._needed:
            return 0
        return min(self._open, self._needed - self.right) if self.calls else 1

    @property
    def _open(self) -> int:
        return self._planned - len(self.calls)
