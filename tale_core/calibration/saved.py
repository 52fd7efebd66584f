"""What calibrations found, by model: the user's file before the one that ships with the program.

The user's file is `wordings.json` in the data folder, the shipped one `data/wordings.json`; both hold
`{"format": 1, "models": {name: entry}}`. A file that cannot be trusted is ignored when a template is looked up, and its
fault is told by `read_choices`. An entry whose template has another version by now was measured with another text: it
is not used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from tale_core.errors import InputError
from tale_core.i18n import from_stored, t, to_stored
from tale_core.prompts.messages import DEFAULT_TEMPLATE, TEMPLATES
from tale_core.settings import DATA_ROOT, Settings

SHIPPED = DATA_ROOT / "wordings.json"
FILE = "wordings.json"
FORMAT = 1
MAX_BYTES = 2_000_000
MAX_MODELS = 1_000

Name = Annotated[str, Field(min_length=1, max_length=300)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Tokens = Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, populate_by_name=True)


class SpentTokens(_Strict):
    """What the calibration was paid with."""

    calls: Count
    prompt_tokens: Count
    completion_tokens: Count
    estimated: bool = False


class StoredFigures(_Strict):
    """One template's figures in an entry: under the budgets together and, `vanilla_`, without one."""

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

    template: Annotated[Name, Field(alias="wording")]
    version: Count
    model: Name
    endpoint: Annotated[str, Field(max_length=500)] = ""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    n: Count
    budgets: Annotated[list[Count], Field(max_length=100)]
    fallback: bool
    reason: Annotated[str, Field(max_length=4_000), AfterValidator(from_stored), PlainSerializer(to_stored)]
    source: Literal["live", "cached", "recorded", "simulated"] | None = None
    figures: Annotated[list[StoredFigures], Field(max_length=100)]
    spent: SpentTokens


class _File(_Strict):
    format: Literal[1]
    models: Annotated[dict[Name, StoredChoice], Field(max_length=MAX_MODELS)]


class TemplateChoice(NamedTuple):
    """The template to use with a model.

    Attributes:
        found: "yours" when it was calibrated here, "shipped" when it came with the program.
        entry: Date, number of questions, figures and cost of the calibration, and why.
    """

    model: str
    template: str
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
        raise InputError(t("The templates in {path} cannot be read: {why}.", path=path, why=e.strerror), mend) from e
    if len(raw) > MAX_BYTES:
        raise InputError(t("{path} is larger than {most:,} bytes.", path=path, most=MAX_BYTES), mend)
    try:
        return _File.model_validate_json(raw).models
    except ValidationError as e:
        first = e.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part)[:60] for part in first["loc"]) or "file"
        why = first["msg"][:200]
        message = t("The templates in {path} are not to be trusted: {where}: {why}.", path=path, where=where, why=why)
        raise InputError(message, mend) from e


def user_file(settings: Settings) -> Path:
    """Where this user's calibrations are remembered."""
    return settings.data_dir / FILE


def template_for(model: str, settings: Settings) -> TemplateChoice | None:
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
            return TemplateChoice(model, entry.template, found, entry)
    return None


def usual_template(model: str, settings: Settings) -> str:
    """The template to use with this model while nobody has chosen one: what a calibration found, else the paper's."""
    found = template_for(model, settings)
    return found.template if found else DEFAULT_TEMPLATE


def _current(entry: StoredChoice) -> bool:
    template = TEMPLATES.get(entry.template)
    return template is not None and template.version == entry.version
