"""What calibrations found, by model: the user's file before the one that ships with the program.

The user's file is `wordings.json` in the data folder, the shipped one `data/wordings.json`; both hold
`{"format": 1, "models": {name: entry}}`. A file that cannot be trusted is ignored when a wording is looked up, and its
fault is told by `read_choices`. An entry whose wording has another version by now was measured with another text: it
is not used. Knows files; knows no model.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tale_core.errors import InputError, StoreError
from tale_core.i18n import t
from tale_core.prompts import DEFAULT_TEMPLATE, TEMPLATES
from tale_core.settings import REPO_ROOT, Settings

if TYPE_CHECKING:
    from tale_core.wording_rule import WordingFigures
    from tale_core.wordings import Calibration

SHIPPED = REPO_ROOT / "data" / "wordings.json"
FILE = "wordings.json"
FORMAT = 1
MAX_BYTES = 2_000_000
MAX_MODELS = 1_000

Name = Annotated[str, Field(min_length=1, max_length=300)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Tokens = Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class SpentTokens(_Strict):
    """What the calibration was paid with."""

    calls: Count
    prompt_tokens: Count
    completion_tokens: Count
    estimated: bool = False


class StoredFigures(_Strict):
    """One wording's figures in an entry: under the budgets together and, `vanilla_`, without one."""

    name: Name
    n: Count
    accuracy: Share | None
    tokens: Tokens | None
    all_in: Tokens | None
    within: Share | None
    curve: Literal["follows", "switch", "flat"] | None
    vanilla_n: Count
    vanilla_accuracy: Share | None
    vanilla_tokens: Tokens | None
    dropped_after: Count | None = None


class StoredChoice(_Strict):
    """An entry of the file."""

    wording: Name
    version: Count
    model: Name
    endpoint: Annotated[str, Field(max_length=500)] = ""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    n: Count
    budgets: Annotated[list[Count], Field(max_length=100)]
    fallback: bool
    reason: Annotated[str, Field(max_length=1_000)]
    source: Literal["live", "cached", "recorded", "simulated"] | None = None
    figures: Annotated[list[StoredFigures], Field(max_length=100)]
    spent: SpentTokens


class _File(_Strict):
    format: Literal[1]
    models: Annotated[dict[Name, StoredChoice], Field(max_length=MAX_MODELS)]


class WordingChoice(NamedTuple):
    """The wording to use with a model.

    Attributes:
        found: "yours" when it was calibrated here, "shipped" when it came with the program.
        entry: Date, number of questions, figures and cost of the calibration; its reason is stored in English.
    """

    model: str
    wording: str
    found: Literal["yours", "shipped"]
    entry: StoredChoice


def read_choices(path: Path) -> dict[str, StoredChoice]:
    """The entries of a file by model; none when there is no file.

    Raises:
        InputError: The file is no such file, with the first fault.
    """
    mend = t("Mend or delete the file, or calibrate again after that.")
    try:
        if not path.exists():
            return {}
        if not path.is_file():
            raise InputError(t("{path} is not a file.", path=path), mend)
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as e:
        raise InputError(t("The wordings in {path} cannot be read: {why}.", path=path, why=e.strerror), mend) from e
    if len(raw) > MAX_BYTES:
        raise InputError(t("{path} is larger than {most:,} bytes.", path=path, most=MAX_BYTES), mend)
    try:
        return _File.model_validate_json(raw).models
    except ValidationError as e:
        first = e.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part)[:60] for part in first["loc"]) or "file"
        why = first["msg"][:200]
        told = t("The wordings in {path} are not to be trusted: {where}: {why}.", path=path, where=where, why=why)
        raise InputError(told, mend) from e


def user_file(settings: Settings) -> Path:
    """Where this user's calibrations are remembered."""
    return settings.data_dir / FILE


def wording_for(model: str, settings: Settings) -> WordingChoice | None:
    """What was found for this model: by this user, else what ships; None when nothing usable is known."""
    places: tuple[tuple[Literal["yours", "shipped"], Path], ...] = (
        ("yours", user_file(settings)),
        ("shipped", SHIPPED),
    )
    for found, path in places:
        try:
            entry = read_choices(path).get(model)
        except InputError:
            continue
        if entry is not None and _current(entry):
            return WordingChoice(model, entry.wording, found, entry)
    return None


def usual_template(model: str, settings: Settings) -> str:
    """The template to use with this model while nobody has chosen one: what a calibration found, else the paper's."""
    found = wording_for(model, settings)
    return found.wording if found else DEFAULT_TEMPLATE


def _current(entry: StoredChoice) -> bool:
    template = TEMPLATES.get(entry.wording)
    return template is not None and template.version == entry.version


def remember(calibration: Calibration, settings: Settings) -> Path:
    """Write a finished calibration into the user's file, in the place of an earlier one of the same model.

    Returns:
        The file.

    Raises:
        InputError: The calibration has no choice, or the file that is there cannot be trusted (it is left as it is).
        StoreError: The file cannot be written.
    """
    path = user_file(settings)
    models = read_choices(path) | {calibration.model: entry_of(calibration)}
    document = {"format": FORMAT, "models": {name: entry.model_dump() for name, entry in models.items()}}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    except OSError as e:
        raise StoreError(
            t("{path} cannot be written: {why}.", path=path, why=e.strerror),
            t("Check the data folder (TALE_DATA_DIR)."),
        ) from e
    return path


def _replace(path: Path, text: str) -> None:
    """Whole or not at all: a reader never sees half a file."""
    fd, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def entry_of(calibration: Calibration) -> StoredChoice:
    """The entry that is remembered of a calibration.

    Raises:
        InputError: It has no choice, because it did not come to its end.
    """
    if calibration.verdict is None:
        raise InputError(t("This calibration did not come to its end."), t("Only a finished one is remembered."))
    name, spent = calibration.verdict.wording, calibration.spent
    return StoredChoice(
        wording=name,
        version=TEMPLATES[name].version,
        model=calibration.model,
        endpoint=calibration.endpoint,
        date=calibration.created_at.date().isoformat(),
        n=len(calibration.plan.questions),
        budgets=list(calibration.plan.budgets),
        fallback=calibration.verdict.fallback,
        reason=calibration.verdict.reason,
        source=calibration.source,
        figures=[StoredFigures(**_stored(f)) for f in calibration.wordings],
        spent=SpentTokens(
            calls=spent.calls,
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            estimated=spent.estimated,
        ),
    )


def _stored(f: WordingFigures) -> dict[str, Any]:
    under, plain = f.budgeted, f.vanilla
    return {
        "name": f.name,
        "n": under.n,
        "accuracy": under.accuracy and under.accuracy.mean,
        "tokens": under.tokens and under.tokens.mean,
        "all_in": under.all_in,
        "within": under.within,
        "curve": f.curve,
        "vanilla_n": plain.n,
        "vanilla_accuracy": plain.accuracy and plain.accuracy.mean,
        "vanilla_tokens": plain.tokens and plain.tokens.mean,
        "dropped_after": f.dropped_after,
    }
