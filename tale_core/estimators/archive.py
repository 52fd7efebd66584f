"""A trained estimator as bytes: a skops archive of its state, with its metadata beside it as `tale.json`.

Never pickle. A file from elsewhere may be hostile, so before skops builds anything every type and loader that its
schema names is compared with the hard-coded list of what we write; sizes are capped; trees, which compiled code walks
without looking, are checked; and the estimator must predict for three fixed questions what its metadata says.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from dataclasses import replace
from functools import cache
from typing import Any

from tale_core.errors import EstimatorFileError
from tale_core.estimators import features
from tale_core.estimators.base import MAX_BUDGET
from tale_core.estimators.kinds import TITLES, trainings
from tale_core.estimators.predictor import FORMAT, Metadata, TrainedEstimator, probe_values
from tale_core.i18n import N_, from_stored, t, to_stored

MAX_BYTES = 50_000_000
MAX_UNPACKED = 200_000_000
MAX_MEMBERS = 20_000
_METADATA = "tale.json"
_SCHEMA = "schema.json"
_PROTOCOL = 2
_AGAIN = N_("Train it again.")

_SKLEARN = (
    "_loss.link.IdentityLink",
    "_loss.link.Interval",
    "_loss.loss.PinballLoss",
    "compose._column_transformer.ColumnTransformer",
    "decomposition._truncated_svd.TruncatedSVD",
    "ensemble._hist_gradient_boosting.binning._BinMapper",
    "ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor",
    "ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "feature_extraction.text.TfidfTransformer",
    "linear_model._ridge.Ridge",
    "neighbors._unsupervised.NearestNeighbors",
    "pipeline.Pipeline",
    "preprocessing._data.StandardScaler",
)
_UNTRUSTED_BY_SKOPS = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
_ALLOWED = frozenset(
    {
        ("DictNode", "builtins.dict"),
        ("JsonNode", "builtins.str"),
        ("ListNode", "builtins.list"),
        ("TupleNode", "builtins.tuple"),
        ("SliceNode", "builtins.slice"),
        ("TypeNode", "builtins.str"),
        ("NdArrayNode", "numpy.ndarray"),
        ("NdArrayNode", "numpy.float64"),
        ("NdArrayNode", "numpy.int64"),
        ("NdArrayNode", "numpy.uint64"),
        ("RandomGeneratorNode", "numpy.random._generator.Generator"),
        ("LossNode", "sklearn._loss._loss.CyPinballLoss"),
        *(("ObjectNode", f"sklearn.{name}") for name in _SKLEARN),
    }
)


def to_bytes(estimator: TrainedEstimator) -> bytes:
    """The whole estimator as one file's content."""
    import skops.io  # type: ignore[import-untyped]

    packed = skops.io.dumps(estimator.state, compression=zipfile.ZIP_DEFLATED)
    buffer = io.BytesIO(packed)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        document = estimator.metadata.document(to_stored)
        archive.writestr(_METADATA, json.dumps(document, ensure_ascii=False, allow_nan=False))
    return buffer.getvalue()


def metadata_of(data: bytes, *, where: str) -> Metadata:
    """The metadata alone; scikit-learn is not imported.

    Raises:
        EstimatorFileError: Not a saved estimator, damaged, or of another format.
    """
    with _open(data, where) as archive:
        return _metadata(archive, where)


def from_bytes(data: bytes, *, where: str) -> TrainedEstimator:
    """The estimator of a file's content.

    Args:
        data: What `to_bytes` made.
        where: What the file is called in an error.

    Raises:
        EstimatorFileError: Not a saved estimator, damaged, of another format, or it holds a type that is not ours.
    """
    with _open(data, where) as archive:
        metadata = _metadata(archive, where)
        _check_schema(_json(archive, _SCHEMA, where), where)
    estimator = TrainedEstimator(metadata, _state(data, where))
    _check_predictions(estimator, where)
    return estimator


def _damaged(where: str, what: str) -> EstimatorFileError:
    return EstimatorFileError(t("{file} is not a usable estimator: {what}.", file=where, what=what), t(_AGAIN))


def _open(data: bytes, where: str) -> zipfile.ZipFile:
    if len(data) > MAX_BYTES:
        raise _damaged(where, t("it is larger than {most} MB", most=MAX_BYTES // 1_000_000))
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception as e:  # See `_json`.
        raise _damaged(where, t("it is damaged, or no skops file")) from e
    members = archive.infolist()
    if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_UNPACKED:
        raise _damaged(where, t("it unpacks to more than an estimator needs"))
    if len({member.filename for member in members}) < len(members):
        raise _damaged(where, t("two of its parts have the same name"))
    return archive


def _json(archive: zipfile.ZipFile, name: str, where: str) -> Any:
    try:
        return json.loads(archive.read(name))
    except KeyError as e:
        raise _damaged(where, t("it has no {name}", name=name)) from e
    except Exception as e:  # What a hostile archive can make zipfile, zlib and json raise has no end.
        raise _damaged(where, t("its {name} is damaged", name=name)) from e


def _metadata(archive: zipfile.ZipFile, where: str) -> Metadata:
    from pydantic import ValidationError

    document = _json(archive, _METADATA, where)
    if not isinstance(document, dict):
        raise _damaged(where, t("its {name} is damaged", name=_METADATA))
    for name, ours in (("format", FORMAT), ("features", features.VERSION)):
        theirs = document.get(name)
        if theirs != ours:
            newer = isinstance(theirs, int) and theirs > ours
            what = t("a newer version of this program") if newer else t("another version of this program")
            message = t("{file} was written by {what} ({name} {theirs!r:.20}, known is {ours}).", file=where, what=what,
                     name=name, theirs=theirs, ours=ours)  # fmt: skip
            raise EstimatorFileError(
                message, t("Update this program, or train the estimator again.") if newer else t(_AGAIN)
            )
    try:
        metadata: Metadata = _adapter().validate_python(document)
    except ValidationError as e:
        place = ".".join(map(str, e.errors(include_url=False, include_input=False)[0]["loc"]))
        raise _damaged(where, t("its metadata is wrong at {place}", place=place)) from e
    _check_metadata(metadata, where)
    return replace(metadata, report=metadata.report.with_sentences(from_stored))


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Metadata)


def _check_metadata(metadata: Metadata, where: str) -> None:
    radius = metadata.radius
    if metadata.kind not in trainings():
        raise _damaged(where, t("its metadata is wrong at {place}", place="kind"))
    if metadata.length not in (None, *TITLES):
        raise _damaged(where, t("its metadata is wrong at {place}", place="length"))
    if not 1 <= metadata.fallback <= MAX_BUDGET or not all(map(math.isfinite, metadata.probes)):
        raise _damaged(where, t("its metadata is out of range"))
    if radius is not None and not 0 <= radius <= 100:  # Holds for no nan either.
        raise _damaged(where, t("its interval is out of range"))
    if not metadata.version.replace("-", "").isalnum() or len(metadata.version) > 40:
        raise _damaged(where, t("its version is out of range"))


def _check_schema(schema: Any, where: str) -> None:
    """Refuse whatever we never write, by name, before anything is built."""
    if not isinstance(schema, dict) or schema.get("protocol") != _PROTOCOL:
        raise _damaged(where, t("it was saved by another version of skops"))
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            if node.keys() & {"__loader__", "__class__", "__module__"}:
                loader = node.get("__loader__")
                name = f"{node.get('__module__')}.{node.get('__class__')}"
                if (loader, name) not in _ALLOWED:
                    raise EstimatorFileError(
                        t(
                            "{file} holds the type {name}, which no estimator of ours holds; it was not loaded.",
                            file=where,
                            name=name[:120],
                        ),
                        t("Use only files that this program wrote."),
                    )
            waiting.extend(node.values())


def _state(data: bytes, where: str) -> dict[str, Any]:
    import skops.io

    try:
        state = skops.io.loads(data, trusted=list(_UNTRUSTED_BY_SKOPS))
        if not isinstance(state, dict):
            raise TypeError("not a state")
        _check_trees(state)
    except Exception as e:  # A hostile file may make skops, numpy and scikit-learn raise anything.
        raise _damaged(where, t("its content is damaged")) from e
    return state


def _check_trees(model: Any) -> None:
    """Compiled code follows a tree's indices without a look: each must point on, and inside."""
    if isinstance(model, dict):
        for value in model.values():
            _check_trees(value)
        return
    predictors = getattr(model, "_predictors", None)
    if predictors is None:
        return
    columns = int(model._n_features)
    for step in predictors:
        for tree in step:
            nodes = tree.nodes
            inner = nodes[nodes["is_leaf"] == 0]
            own = (nodes["is_leaf"] == 0).nonzero()[0]
            fine = len(nodes) > 0 and not nodes["is_categorical"].any()
            for side in ("left", "right"):
                fine = fine and bool(((inner[side] > own) & (inner[side] < len(nodes))).all())
            if not fine or ((inner["feature_idx"] < 0) | (inner["feature_idx"] >= columns)).any():
                raise ValueError("a tree points outside of itself")


def _check_predictions(estimator: TrainedEstimator, where: str) -> None:
    """The stored predictions for fixed questions show damage, and a library that computes differently now."""
    stored = estimator.metadata.probes
    try:
        now = probe_values(estimator.metadata, estimator.state)
    except Exception as e:  # See `_state`.
        raise _damaged(where, t("it cannot predict")) from e
    if len(now) != len(stored) or not all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(now, stored, strict=True)):
        with_versions = ", ".join(f"{k} {v}" for k, v in sorted(estimator.metadata.libraries.items()))
        message = t(
            "it no longer predicts what it did when it was trained (with {versions})", versions=with_versions[:120]
        )
        raise _damaged(where, message)
