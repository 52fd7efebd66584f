"""What may predict a budget: a constant, the nearest questions, a line, gradient boosting, the model's own estimate.

Every candidate fits `Data` to a state (plain numbers, arrays and scikit-learn objects, so that skops can store it) and
predicts two quantiles from it. All of it is on the scale of logarithms: an error is a factor, whatever the size of the
budget. It imports scikit-learn, so it is imported when something is trained or predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor  # type: ignore[import-untyped]
from sklearn.isotonic import IsotonicRegression  # type: ignore[import-untyped]
from sklearn.linear_model import Ridge  # type: ignore[import-untyped]
from sklearn.neighbors import NearestNeighbors  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from tale_core.estimators import features
from tale_core.estimators.kinds import TITLES
from tale_core.estimators.rows import TrainingRow

UPPER = 0.9
"""The upper quantile: a budget that is enough for nine questions out of ten."""

Numbers = np.ndarray[Any, np.dtype[np.float64]]
State = dict[str, Any]
Setting = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Data:
    """Questions as numbers.

    Attributes:
        x: `features.matrix` of the questions.
        zero: Logarithm of the model's own estimates; nan where it was not asked.
        y: Logarithm of the optimal budgets; empty when they are to be predicted.
        memo: What was computed from these rows, for the next candidate or setting that needs it.
    """

    x: Any
    zero: Numbers
    y: Numbers
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, rows: Sequence[TrainingRow]) -> Data:
        """The data of training rows."""
        zero = [np.nan if r.zero_shot is None else np.log(r.zero_shot) for r in rows]
        budgets = np.array([r.optimal_budget for r in rows], dtype=float)
        return cls(features.matrix([r.question for r in rows]), np.array(zero, dtype=float), np.log(budgets))

    def take(self, which: Any) -> Data:
        """Some of the rows."""
        return Data(self.x[which], self.zero[which], self.y[which])


class Quantiles(NamedTuple):
    """Predicted logarithms of budgets: the middle, and one that is enough for UPPER of the questions."""

    median: Numbers
    upper: Numbers


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to predict.

    Attributes:
        name: Stored in a report; `TITLES` says it for people.
        settings: What nested cross-validation chooses from.
        needs_estimate: True when it reads the model's own estimate.
    """

    name: str
    fit: Callable[[Data, Setting], State]
    predict: Callable[[State, Data], Quantiles]
    settings: tuple[Setting, ...] = field(default_factory=lambda: ({},))
    needs_estimate: bool = False

    @property
    def title(self) -> str:
        """What it is called in a report, in English."""
        return TITLES[self.name]


def _fit_constant(data: Data, _: Setting) -> State:
    # An optimum that occurred, not a number between two of them.
    return {"median": float(np.sort(data.y)[len(data.y) // 2]), "upper": float(np.quantile(data.y, UPPER))}


def _constant(state: State, data: Data) -> Quantiles:
    rows = data.zero.shape[0]
    return Quantiles(np.full(rows, state["median"]), np.full(rows, state["upper"]))


def _reduced(data: Data) -> tuple[Any, Numbers]:
    if "reduced" not in data.memo:
        reducer = features.reducer()
        # Questions with hardly a word have no directions to explain: 0/0 there is expected and harmless.
        with np.errstate(all="ignore"):
            data.memo["reduced"] = reducer, reducer.fit_transform(data.x)
    reduced: tuple[Any, Numbers] = data.memo["reduced"]
    return reduced


def _columns(state: State, data: Data) -> Numbers:
    reducer = state["features"]
    known = data.memo.get("columns")
    if known is None or known[0] is not reducer:
        known = data.memo["columns"] = reducer, reducer.transform(data.x)
    columns: Numbers = known[1]
    return columns


def _fit_neighbours(data: Data, setting: Setting) -> State:
    reducer, x = _reduced(data)
    near = NearestNeighbors(n_neighbors=min(setting["neighbours"], len(data.y)), algorithm="brute").fit(x)
    return {"features": reducer, "neighbours": near, "targets": data.y}


def _neighbours(state: State, data: Data) -> Quantiles:
    near = state["neighbours"].kneighbors(_columns(state, data), return_distance=False)
    found = state["targets"][near]
    return Quantiles(np.median(found, axis=1), np.quantile(found, UPPER, axis=1))


def _fit_ridge(data: Data, setting: Setting) -> State:
    reducer, reduced = _reduced(data)
    scaler = StandardScaler()
    x = scaler.fit_transform(reduced)
    line = Ridge(alpha=setting["alpha"]).fit(x, data.y)
    above = max(0.0, float(np.quantile(left_out(x, data.y - line.predict(x), setting["alpha"]), UPPER)))
    return {"features": reducer, "scaler": scaler, "line": line, "above": above} | _range(data)


def left_out(x: Numbers, residuals: Numbers, alpha: float) -> Numbers:
    """Residuals of each row when the line is fitted without it, for centred columns; in-sample ones are too small."""
    inverse = np.linalg.inv(x.T @ x + alpha * np.eye(x.shape[1]))
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x) + 1 / len(x)
    return np.asarray(residuals / np.maximum(1 - leverage, 1e-3), dtype=float)


def _ridge(state: State, data: Data) -> Quantiles:
    x = state["scaler"].transform(_columns(state, data))
    # A line goes on for ever; a question unlike all others must not get a budget unlike all others.
    median = np.clip(state["line"].predict(x), state["lowest"], state["highest"])
    return Quantiles(median, median + float(state["above"]))


def _range(data: Data) -> State:
    return {"lowest": float(data.y.min()), "highest": float(data.y.max())}


def _fit_boosting(data: Data, setting: Setting) -> State:
    reducer, x = _reduced(data)
    common = {"loss": "quantile", "min_samples_leaf": 5, "early_stopping": False, "random_state": 0}
    median, upper = (
        HistGradientBoostingRegressor(quantile=q, **common, **setting).fit(x, data.y) for q in (0.5, UPPER)
    )
    return {"features": reducer, "median": median, "upper": upper}


def _boosting(state: State, data: Data) -> Quantiles:
    x = _columns(state, data)
    median = state["median"].predict(x)
    return Quantiles(median, np.maximum(median, state["upper"].predict(x)))


def _zero_shot(state: State, data: Data) -> Quantiles:
    return Quantiles(data.zero, data.zero)


def _fit_calibrated(data: Data, setting: Setting) -> State:
    """A monotone map from the estimate to the optimum, the middle ratio, or (it tells nothing) the middle optimum."""
    if setting["shape"] == "monotone" and len(np.unique(data.zero)) >= 3:
        curve = IsotonicRegression().fit(data.zero, data.y)
        # Its corners say all of it, and plain arrays are stored without trusting one more type.
        state: State = {"shape": "monotone", "x": curve.X_thresholds_, "y": curve.y_thresholds_}
    elif setting["shape"] in ("monotone", "ratio"):
        state = {"shape": "ratio", "shift": float(np.median(data.y - data.zero))}
    else:
        state = {"shape": "constant", "shift": _fit_constant(data, {})["median"]}
    left_over = data.y - _mapped(state, data)
    return state | {"above": float(np.quantile(left_over, UPPER))}


def _mapped(state: State, data: Data) -> Numbers:
    if state["shape"] == "monotone":
        return np.interp(data.zero, state["x"], state["y"])
    if state["shape"] == "ratio":
        return data.zero + float(state["shift"])
    return np.full(data.zero.shape[0], float(state["shift"]))


def _calibrated(state: State, data: Data) -> Quantiles:
    median = _mapped(state, data)
    return Quantiles(median, median + max(0.0, state["above"]))


CONSTANT = Candidate("constant", _fit_constant, _constant)
NEIGHBOURS = Candidate("neighbours", _fit_neighbours, _neighbours, tuple({"neighbours": k} for k in (3, 7, 15)))
RIDGE = Candidate("ridge", _fit_ridge, _ridge, tuple({"alpha": alpha} for alpha in (3.0, 30.0, 300.0)))
BOOSTING = Candidate(
    "boosting",
    _fit_boosting,
    _boosting,
    ({"max_depth": 1, "max_iter": 60, "learning_rate": 0.12}, {"max_depth": 3, "max_iter": 40, "learning_rate": 0.12}),
)
ZERO_SHOT = Candidate("zero-shot", lambda data, _: {}, _zero_shot, needs_estimate=True)
CALIBRATED = Candidate(
    "calibrated",
    _fit_calibrated,
    _calibrated,
    tuple({"shape": shape} for shape in ("monotone", "ratio", "constant")),
    needs_estimate=True,
)
CANDIDATES = {c.name: c for c in (CONSTANT, NEIGHBOURS, RIDGE, BOOSTING, ZERO_SHOT, CALIBRATED)}
