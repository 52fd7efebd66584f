"""A trained estimator in use: metadata that can be read without scikit-learn, and a state that predicts with it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tale_core.estimators import features
from tale_core.estimators.base import MAX_BUDGET
from tale_core.estimators.report import Aim, TrainingReport
from tale_core.estimators.zero_shot import ZeroShot, named_budget
from tale_core.i18n import in_english, t
from tale_core.types import Client, Completion, Delta, Estimate, Question, Sampling

if TYPE_CHECKING:
    from tale_core.estimators.candidates import Quantiles

LENGTH = "length"
"""Where a state keeps what predicts the vanilla answer's tokens."""

FORMAT = 1
"""Goes up when metadata or state change; a file of a later format is refused."""

_PROBES = (
    (Question("A shop sells 3 apples for 2 dollars. How many dollars do 12 apples cost?"), 10),
    (Question("小明有 24 颗糖，分给 6 个朋友，每人几颗？", language="zh"), 60),
    (Question("Which number is prime?", options=("21", "23", "25", "27")), 200),
)
"""Questions whose predictions are stored with an estimator: a loaded one has to predict the same."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a trained estimator without loading it.

    Attributes:
        kind: A name of `kinds.trainings()`.
        candidate: The predictor that was kept (see `candidates.CANDIDATES`).
        reads_estimate: It needs the model's own estimate, which costs a call.
        trained_on: When, in ISO 8601; "" when nobody said.
        rows: Searches it was trained on; `fingerprint` says which (see `rows.fingerprint`).
        fallback: Tokens to use when nothing can be predicted: the middle optimum.
        radius: Half-width of its 90 % intervals, in logarithms; None when there were too few searches.
        version: Changes with the data, the seed, the settings and the date.
        probes: Its middle predictions for three fixed questions, in logarithms, then those of `length`.
        length: The predictor of the vanilla answer's tokens; None where nothing tells them better than their middle.
    """

    kind: str
    model: str
    template: str
    candidate: str
    reads_estimate: bool
    aim: Aim
    trained_on: str
    rows: int
    fingerprint: str
    seed: int
    fallback: int
    radius: float | None
    libraries: dict[str, str]
    report: TrainingReport
    version: str = ""
    probes: tuple[float, ...] = ()
    length: str | None = None
    format: int = FORMAT
    features: int = features.VERSION

    def document(self, say: Callable[[str], str] = in_english) -> dict[str, Any]:
        """JSON-safe, with the report's sentences as `say` says them."""
        return asdict(replace(self, report=self.report.with_sentences(say)))


@dataclass(frozen=True, slots=True)
class TrainedEstimator:
    """Predicts budgets for one model and template: `BudgetPredictor` for experiments, and `Estimator` for an Ask."""

    metadata: Metadata
    state: dict[str, Any] = field(repr=False)

    @property
    def version(self) -> str:
        """Changes with every training."""
        return self.metadata.version

    @property
    def name(self) -> str:
        """Registry name with the version, stored with every session."""
        return f"{self.metadata.kind}:{self.version}"

    @property
    def needs_zero_shot(self) -> bool:
        """It reads the model's own estimate, which costs a call."""
        return self.metadata.reads_estimate

    @property
    def asks_model(self) -> bool:
        """As `needs_zero_shot`."""
        return self.metadata.reads_estimate

    def budget(self, question: Question, zero_shot: int | None = None) -> tuple[int, str | None]:
        """A budget in tokens from 1 to MAX_BUDGET, and why it is the stated default, in words, if it is.

        Args:
            question: To be answered.
            zero_shot: The model's own estimate in tokens; None when it named none or was not asked.
        """
        if self.needs_zero_shot and not zero_shot:
            return self._default(t("the model named no number of tokens"))
        quantiles = self._quantiles(question, zero_shot)
        found = float((quantiles.median if self.metadata.aim == "median" else quantiles.upper)[0])
        if not math.isfinite(found):
            return self._default(t("the estimator could not read the question"))
        return _tokens(found), None

    def interval(self, question: Question, zero_shot: int | None = None) -> tuple[int, int] | None:
        """Tokens between which the optimum lies for nine questions out of ten; None when that is not known."""
        radius = self.metadata.radius
        if radius is None or (self.needs_zero_shot and not zero_shot):
            return None
        median = float(self._quantiles(question, zero_shot).median[0])
        return (_tokens(median - radius), _tokens(median + radius)) if math.isfinite(median) else None

    def vanilla_tokens(self, question: Question) -> int | None:
        """Tokens that an answer without a budget is expected to take; None where nothing tells that."""
        length = self.metadata.length
        found = _predicted(length, self.state[LENGTH], [(question, None)]).median[0] if length else math.nan
        return _tokens(float(found)) if math.isfinite(found) else None

    async def estimate(
        self, question: Question, client: Client, *, run: Sampling | None = None
    ) -> AsyncGenerator[Delta | Estimate, None]:
        """See `Estimator.estimate`. The model's own estimate is asked for, and counted, only where it is read."""
        if not self.needs_zero_shot:
            yield await self._estimated(question, None)
            return
        async with aclosing(client.stream(ZeroShot().request(question, run))) as stream:
            async for item in stream:
                yield await self._estimated(question, item) if isinstance(item, Completion) else item

    async def _estimated(self, question: Question, completion: Completion | None) -> Estimate:
        own, reason = None, None
        if completion:
            tokens = completion.usage.completion_tokens
            own, reason = named_budget(completion.text, completion.finish_reason, tokens=tokens)
        # In a thread: the first prediction imports scikit-learn, and answers of others are streaming.
        budget, problem = await asyncio.to_thread(self.budget, question, own)
        if problem and reason:
            problem = self._default(reason)[1]
        raw = completion.text if completion else ""
        return Estimate(self.name, budget, raw=raw, problem=problem, completion=completion)

    def _default(self, reason: str) -> tuple[int, str]:
        budget = self.metadata.fallback
        return budget, t("{reason}; using {budget} tokens instead, the middle of {n} searched optima", reason=reason,
                         budget=budget, n=self.metadata.rows)  # fmt: skip

    def _quantiles(self, question: Question, zero_shot: int | None) -> Quantiles:
        return quantiles(self.metadata, self.state, [(question, zero_shot)])


def quantiles(metadata: Metadata, state: dict[str, Any], asked: Sequence[tuple[Question, int | None]]) -> Quantiles:
    """Predicted logarithms of budgets for questions with the model's own estimates."""
    return _predicted(metadata.candidate, state, asked)


def _predicted(candidate: str, state: dict[str, Any], asked: Sequence[tuple[Question, int | None]]) -> Quantiles:
    import numpy as np

    from tale_core.estimators.candidates import CANDIDATES, Data

    zero = np.array([math.log(own) if own else math.nan for _, own in asked])
    data = Data(features.matrix([question for question, _ in asked]), zero, np.empty(0))
    return CANDIDATES[candidate].predict(state, data)


def probe_values(metadata: Metadata, state: dict[str, Any]) -> tuple[float, ...]:
    """The middle predictions for the fixed questions; a loaded estimator must give the same."""
    found = [quantiles(metadata, state, _PROBES)]
    if metadata.length:
        found.append(_predicted(metadata.length, state[LENGTH], _PROBES))
    return tuple(float(value) for one in found for value in one.median)


def version_of(metadata: Metadata) -> str:
    """Date and fingerprint of everything that decides an estimator."""
    decides = asdict(replace(metadata, version="", probes=())) | {"report": None}
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:8]
    day = "".join(c for c in metadata.trained_on[:10] if c.isdigit())
    return f"{day}-{digest}" if day else digest


def libraries() -> dict[str, str]:
    """Versions of what a state depends on."""
    from importlib.metadata import version

    return {name: version(name) for name in ("scikit-learn", "numpy", "skops")}


def _tokens(logarithm: float) -> int:
    return max(1, min(MAX_BUDGET, round(math.exp(min(logarithm, 20.0)))))
