"""What the traffic shows: how much a change saves and how often answers agree, each with its interval; and the choice.

A saving is a share of the output tokens of the requests that could be changed. Whatever a change costs counts with it:
an answer that did not do, and the plain one after it.

The intervals hold for the number of questions that there are, looked at once. The choice is made anew after every
question, and is therefore made of evidence that may be looked at as often as one likes (`tale_core.stats`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tale_core.i18n import N_, t, tn
from tale_core.proxy.plan import ERROR, LEAST_PAIRS
from tale_core.stats import Interval, ratio_evidence, ratio_interval, share_evidence, wilson
from tale_core.store import Pair
from tale_core.store.traffic import AGREE, DIFFER

DO_NEXT = {
    "chosen": N_("Save mode uses it."),
    "more": N_("Let more questions be asked both ways before you decide."),
    "label": N_("Graders cannot read most of these answers: judge them on the page Label (start with --keep-texts)."),
    "worse": N_("Leave it: the answers change too often."),
    "dearer": N_("Leave it: it saves nothing for sure."),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one change did to the requests for one model.

    Attributes:
        n: Questions that were asked both ways and answered both times.
        saving: Share of the output tokens; None while there are too few questions.
        agreement: Share of judged pairs whose answers agree.
        judged: Pairs that were judged, by graders or by people.
        agreeing: Of those, the pairs whose answers agree.
        unread: Pairs that a person has to judge.
        fallbacks: Pairs whose changed answer did not do, so that the plain one counts.
        live: Of n, those whose client got the changed answer.
        tried: The place of this change among those that were tried for the model, from 1.
        evidence: For its saving anything: what `ratio_evidence` says.
    """

    upstream: str
    model: str
    strategy: str
    n: int
    plain_tokens: int
    changed_tokens: int
    saving: Interval | None
    agreement: Interval | None
    judged: int
    unread: int
    fallbacks: int
    live: int
    estimated: int
    agreeing: int
    tried: int
    evidence: float

    @property
    def sentence(self) -> str:
        """The finding in one sentence."""
        if self.saving is None:
            return tn("{n} question was asked both ways: too few for a figure.",
                      "{n} questions were asked both ways: too few for a figure.", self.n)  # fmt: skip
        share, half = 100 * self.saving.mean, 100 * _half(self.saving)
        saved = t("{share:.0f} % ± {half:.0f} % of output tokens saved", share=share, half=half)
        if self.agreement is None:
            return t("{saved}; no pair of answers could be judged (n = {n}).", saved=saved, n=self.n)
        return t(
            "{saved}, answers agree in {share:.0f} % ± {half:.0f} % (n = {n}, judged {judged}).",
            saved=saved, share=100 * self.agreement.mean, half=100 * _half(self.agreement), n=self.n,
            judged=self.judged,
        )  # fmt: skip

    def next(self, agree: float) -> str:
        """What to do, a key of `DO_NEXT`."""
        if self.saving is None or self.n < LEAST_PAIRS:
            return "more"
        if self.judged < LEAST_PAIRS:
            return "label" if self.unread > self.judged else "more"
        if self.saving.low <= 0:
            return "dearer"
        assert self.agreement is not None
        if self.agreement.high < agree:
            return "worse"
        # Each change may err by its part of ERROR: 1/2, 1/6, 1/12, … add up to 1, however many there will be.
        enough = math.log(self.tried * (self.tried + 1) / ERROR)
        sure = min(self.evidence, share_evidence(self.agreeing, self.judged, agree)) >= enough
        return "chosen" if sure else "more"


def findings(pairs: Iterable[Pair]) -> list[Finding]:
    """One for each upstream, model and change, those that save most first. The oldest pairs come first."""
    of: dict[tuple[str, str, str], list[Pair]] = {}
    for pair in pairs:
        if pair.plain_tokens is not None and pair.changed_tokens is not None:
            of.setdefault((pair.upstream, pair.model, pair.strategy), []).append(pair)
    tried: Counter[tuple[str, str]] = Counter()
    found = []
    for (upstream, model, strategy), some in of.items():  # In the order in which they were first tried.
        tried[upstream, model] += 1
        found.append(_finding(upstream, model, strategy, some, tried[upstream, model]))
    return sorted(found, key=lambda f: f.changed_tokens - f.plain_tokens)


def _finding(upstream: str, model: str, strategy: str, pairs: Sequence[Pair], tried: int) -> Finding:
    plain, changed = [p.plain_tokens or 0 for p in pairs], [p.changed_tokens or 0 for p in pairs]
    left = ratio_interval(changed, plain)
    agree = sum(p.verdict in AGREE for p in pairs)
    judged = agree + sum(p.verdict in DIFFER for p in pairs)
    return Finding(
        upstream, model, strategy, len(pairs), sum(plain), sum(changed),
        None if left is None else Interval(1 - left.mean, 1 - left.high, 1 - left.low), wilson(agree, judged), judged,
        sum(p.verdict == "unread" for p in pairs), sum(p.fallback != "" for p in pairs),
        sum(p.origin == "saved" for p in pairs), sum(p.estimated for p in pairs), agree, tried,
        ratio_evidence(changed, plain),
    )  # fmt: skip


def best(found: Iterable[Finding], agree: float) -> Finding | None:
    """The change to use: of those that surely save and surely agree often enough, the one that saves most."""
    fit = [one for one in found if one.next(agree) == "chosen"]
    return max(fit, key=lambda one: one.saving.low if one.saving else 0.0, default=None)


def worst_first(pairs: Iterable[Pair]) -> list[Pair]:
    """Where a change did harm: answers that differ first, then those that took more tokens than the plain ones."""

    def harm(pair: Pair) -> tuple[bool, int]:
        return pair.verdict in DIFFER, (pair.changed_tokens or 0) - (pair.plain_tokens or 0)

    bad = [pair for pair in pairs if pair.verdict in DIFFER or harm(pair)[1] > 0]
    return sorted(bad, key=harm, reverse=True)


def of_all(finding: Finding, open_tokens: int, tokens: int) -> float | None:
    """The saving as a share of all output tokens of the model, of which those of some requests can be saved at all."""
    return None if finding.saving is None or not tokens else finding.saving.mean * open_tokens / tokens


def _half(interval: Interval) -> float:
    return max(interval.high - interval.mean, interval.mean - interval.low)
