"""`adapter.json`: what an adapter says of itself. Whatever is shown of it has been read as what it must be."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tale_core.models.adapters.check import MAX_BYTES
from tale_core.types import Writes

FORMAT = 1


class _Row(BaseModel):
    strategy: str
    n: int = 0
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    output_tokens: float | None = None
    output_tokens_low: float | None = None
    output_tokens_high: float | None = None
    all_in_tokens: float | None = None


class _Result(BaseModel):
    experiment: str = ""
    dataset: str = ""
    questions: int = 0
    at: str = ""
    rows: list[_Row] = []


class _Data(BaseModel):
    source: str = ""
    questions: list[str] = []
    held_out_questions: list[dict[str, Any]] = []


class Description(BaseModel):
    """What `adapter.json` holds.

    Attributes:
        base: Catalog name of the model that it belongs to; "" for a model folder that the catalog does not know.
        base_sha256: Of the base's weights file; "" likewise.
        architecture: llama.cpp's name of it.
        method: "sft", "dpo" or "imported".
        writes: Decides how it is asked and how its answers are read (`tale_core.grading.lines`).
        data: Fingerprint, the command that made it, counts and the keys of the questions that it was trained on.
        settings: Of the training.
        results: What was measured with it, as experiments said it; empty until somebody measured.
        sha256: Of adapter.gguf.
        size: Bytes of adapter.gguf.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int = FORMAT
    name: str
    base: str = ""
    base_sha256: str = ""
    base_folder: str = ""
    architecture: str
    method: str = Field(pattern="^(sft|dpo|imported)$")
    writes: Writes = "words"
    created: str = ""
    parent: str = ""
    note: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    results: list[dict[str, Any]] = Field(default_factory=list)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=1, le=MAX_BYTES)

    @field_validator("data")
    @classmethod
    def _data(cls, value: dict[str, Any]) -> dict[str, Any]:
        _Data.model_validate(value)
        return value

    @field_validator("results")
    @classmethod
    def _results(cls, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for result in value:
            _Result.model_validate(result)
        return value
