"""Where things live and how long we wait: environment plus defaults, read once, frozen.

Knows environment variables and folders; knows no model, no database and no page. API keys are not settings: they are
looked up by name at the moment of a call (`tale_core.models.endpoints.api_key`) and never kept here.
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

REPO_ROOT = Path(__file__).resolve().parent.parent
"""The checkout; shipped data lives in REPO_ROOT / "data"."""


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

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    """"json": one object a line, for machines that collect logs."""

    server_threads: int | None = Field(default=None, ge=1, le=512)
    """CPU threads of the embedded server; None means the number of physical cores."""

    server_slots: int = Field(default=4, ge=1, le=64)
    """Answers the embedded server generates at the same time."""

    server_context: int = Field(default=4096, ge=512, le=131072)
    """Tokens of context per slot of the embedded server."""

    server_idle_s: float = Field(default=60.0, ge=0.0)
    """Seconds the embedded server outlives its last user."""

    connect_timeout_s: float = Field(default=5.0, gt=0)
    request_timeout_s: float = Field(default=120.0, gt=0)
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
