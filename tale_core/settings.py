"""Where things live and how long we wait: environment plus defaults, read once, frozen.

API keys are not settings: they are looked up by name at the moment of a call (`tale_core.models.endpoints.api_key`) and
never kept here.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tale_core.errors import SettingsError
from tale_core.i18n import t

_PACKAGE = Path(__file__).resolve().parent

REPO_ROOT = _PACKAGE.parent
"""Where Python finds this package: the checkout, or the site-packages that it was installed into. Read only."""

INSTALLED = (_PACKAGE / "_app").is_dir()
"""Whether this is an installed wheel, which carries the pages and the shipped data in the package's own folder."""

APP_ROOT = _PACKAGE / "_app" if INSTALLED else REPO_ROOT
"""Where app.py, pages/, ui/, data/ and .streamlit/config.toml lie, in a checkout and in a wheel. Read only."""

DATA_ROOT = APP_ROOT / "data"
"""What comes with the program: models, endpoints, questions, recordings, estimators, adapters."""

PROGRAM = "tale" if INSTALLED else "python -m tale_core"
"""How a person calls the command line here, for sentences that tell them to."""

Access = Literal["alone", "class", "team"]
Extra = Literal["tune", "ray", "postgres"]


def install_command(extra: Extra) -> str:
    """How a person installs what only some need; each extra is a requirements file of its own."""
    return f'pip install "tale[{extra}]"' if INSTALLED else f"pip install -r requirements-{extra}.txt"


class Settings(BaseSettings):
    """All knobs that come from the environment, each as `TALE_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="TALE_", frozen=True, extra="ignore")

    data_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("tale", appauthor=False)))
    """User data: database, trained estimators, adapters, logs, the model server's run files."""

    cache_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_cache_dir("tale", appauthor=False)))
    """What can be fetched again: weights, tokenizer files."""

    datasets_dir: Path | None = None
    """Where public data sets lie that were fetched by hand; `tale_core.datasets.describe` says what to call them."""

    database_url: str | None = None
    """SQLAlchemy URL; None means SQLite in data_dir."""

    class_database_url: str | None = None
    """SQLAlchemy URL of the database of class rooms, kept apart so that no other page shows what students asked; None
    means SQLite in data_dir."""

    model: str = "qwen2.5-coder-1.5b"
    """Catalog name used when none is given."""

    model_file: Path | None = None
    """A local weights file to try first; used only if its size and sha256 match a catalog entry."""

    endpoint_groups: Path | None = None
    """File that names several endpoints as one model; None means endpoint-groups.toml in data_dir, if there is one."""

    offline: bool = False
    """Never look outside this machine for weights."""

    access: Access = "alone"
    """Who may come to the pages: see `tale_core.access`."""

    owner_token: Literal["auto", "on", "off"] = "auto"
    """Whether an owner who works alone comes by the link of the start; "auto": only if other people work on this
    machine too, or the server listens on more than loopback."""

    allowed_hosts: str = ""
    """More names that the pages answer to, with commas: `tale.example.org`, `*.example.org`, or `*` for all."""

    class_url: str | None = None
    """Where students reach the pages, if it is not this machine's own address: behind a proxy, say."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    """"json": one object a line, for machines that collect logs."""

    server_threads: int | None = Field(default=None, ge=1, le=512)
    """CPU threads of the embedded server; None means the number of physical cores, and fewer beside busy neighbours."""

    server_slots: int = Field(default=4, ge=1, le=64)
    """Answers the embedded server generates at the same time."""

    server_context: int = Field(default=4096, ge=512, le=131072)
    """Tokens of context per slot of the embedded server."""

    server_idle_s: float = Field(default=60.0, ge=0.0, allow_inf_nan=False)
    """Seconds the embedded server outlives its last user."""

    guard_addresses: Literal["auto", "always", "never"] = "auto"
    """Whether an address that somebody names on a page may lead into private networks or to this machine: "always"
    refuses it; "auto" refuses it unless the app listens on this machine alone, where its one reader is its owner."""

    allowed_addresses: str = ""
    """What may be reached all the same: networks, addresses and host names, each with a port or without, between commas
    (10.1.0.0/16, 192.168.1.7:8000, vllm.lab, *.lab.example)."""

    connect_timeout_s: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    request_timeout_s: float = Field(default=120.0, gt=0, allow_inf_nan=False)
    """Longest silence of an endpoint, first token included; a whole answer may take longer."""

    @property
    def resolved_database_url(self) -> str:
        """The database to use, as a SQLAlchemy URL."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'tale.db').as_posix()}"

    @property
    def resolved_class_database_url(self) -> str:
        """The database of class rooms, as a SQLAlchemy URL."""
        return self.class_database_url or f"sqlite:///{(self.data_dir / 'class.db').as_posix()}"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the environment once.

    Raises:
        SettingsError: A variable holds a value that is not allowed; the message names it.
    """
    try:
        return Settings()
    except ValidationError as e:
        lines = "; ".join(f"TALE_{str(err['loc'][0]).upper()}={err['input']!r}: {err['msg']}" for err in e.errors())
        raise SettingsError(
            t("The environment holds a value that is not allowed: {lines}.", lines=lines), t("Fix or unset it.")
        ) from e
