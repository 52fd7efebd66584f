"""What a page says in English although its reader chose Chinese.

Everything that is sent to the browser for people to read is looked through: labels, hints, texts, tables, charts, the
options of lists. What is left when addresses, code, and the words that are no language are taken away, is a sentence
that nobody wrapped in `t`, or that no catalog translates.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

from tale_core.datasets.logs import TOOLS
from tale_core.models.embedded.catalog import embedded_models
from tale_core.models.endpoints import endpoints
from tale_core.tuning.install import PACKAGES
from tests.pages.app_page import words

ALLOWED = {
    # The project, the paper's method, statistics that are named after somebody, and the sampling setting Top p.
    "TALE", "Wilson", "Holm", "McNemar", "Top",
    # The unit, which Chinese texts on language models do not translate; and the API's own names of settings.
    "token", "max_tokens", "max", "xhigh", "high", "medium", "low", "minimal", "none",
    # File formats, key names, and names of programs and files.
    "MB", "CSV", "JSON", "JSONL", "GGUF", "gguf", "llama", "cpp", "Lines", "Parquet", "HTML", "Markdown", "PNG",
    "API", "OpenAI", "tiktoken", "secrets", "toml", "streamlit", "Enter", "Ctrl",
    # Each language is named in its own words.
    "English",
}  # fmt: skip
"""English words that a Chinese page may hold."""
NO_WORDS = {
    "id", "icon", "type", "shortcut", "language", "url", "page", "page_script_hash", "query_string", "format", "tag",
    "theme", "config", "autocomplete", "element_id", "form_id", "key", "name", "class_name",
    "component_name", "json", "js_content", "css_content",
}  # fmt: skip
"""Fields of Streamlit's messages that nobody reads."""
OF_OTHERS = {"code", "text"}
"""Elements that hold what a person, a model or a shell is given word for word."""
PICKED_FROM_DATA = {"example"}
"""Keys of lists whose options are data."""
_NOT_LANGUAGE = re.compile(
    r"https?:\S+|[\w./]+/\S+|:material/\w+:|:[a-z]+(?:-[a-z]+)*\[|`[^`]*`|</?\w+/?>|%\{\w+\}|&\w+;|[A-Z]+(?:_[A-Z]+)+"
    r"|\\[a-z]+|\b[0-9a-f]{32}\b|\b[a-z]+-[a-z0-9]{24}\b"  # Names of uploads and of sessions.
)
_WORD = re.compile(r"[A-Za-z][A-Za-z_'’]+")


def english(at: AppTest, *data: str) -> list[str]:
    """Each text of the page that holds an English word, with the words.

    Args:
        at: A page that was drawn in Chinese.
        data: Texts that are on the page and belong to no language of ours: names of models, for example.
    """
    assert not at.exception, at.exception
    names = [x for m in embedded_models() for x in (m.title, m.name)] + [p.title for p in endpoints()]
    names += [*(m.name for p in endpoints() for m in p.models), *PACKAGES, *TOOLS.values()]
    found = []
    for text in texts(at):
        begins = text.removesuffix("…")
        if begins != text and any(name.startswith(begins) for name in data):
            continue
        left = text
        for name in sorted({*names, *data}, key=len, reverse=True):
            left = left.replace(name, " ")
        if bad := [w for w in _WORD.findall(_NOT_LANGUAGE.sub(" ", left)) if w not in ALLOWED]:
            found.append(f"{' '.join(bad)}: {text[:200]}")
    return found


def texts(at: AppTest) -> Iterator[str]:
    """Everything that is sent for people to read; tables cell by cell, charts by their titles and labels."""
    for part in (at.main, at.sidebar):
        for node in part:
            proto = getattr(node, "proto", None)
            if node.type in OF_OTHERS or getattr(node, "key", None) in PICKED_FROM_DATA or proto is None:
                continue
            for text in _strings(proto):
                yield words([_Sent(text)])


class _Sent:
    """One text, as `words` takes it."""

    def __init__(self, text: str) -> None:
        from google.protobuf.wrappers_pb2 import StringValue

        self.proto = StringValue(value=text)


def _strings(message: Any) -> Iterator[str]:
    if not isinstance(message, Message):
        return
    for field, value in message.ListFields():
        if field.name in NO_WORDS:
            continue
        for one in value if field.is_repeated else [value]:
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                yield from _strings(one) if isinstance(one, Message) else [str(one), str(value[one])]
            elif field.type == FieldDescriptor.TYPE_BYTES:
                yield from _cells(one)
            elif field.name in ("spec", "columns"):
                yield from _said(json.loads(one))
            elif field.type == FieldDescriptor.TYPE_STRING:
                yield str(one)


def _cells(data: bytes) -> Iterator[str]:
    """Headers and texts of a table."""
    try:
        table = pa.ipc.open_stream(io.BytesIO(data)).read_all()
    except pa.ArrowInvalid:
        return
    for name in table.column_names:
        if not re.fullmatch(r"__index_level_\d+__|value", name):  # Names that pandas and Streamlit give, and hide.
            yield name
        yield from (cell for cell in table[name].to_pylist() if isinstance(cell, str))


def _said(spec: Any, key: str = "") -> Iterator[str]:
    """Titles, labels, legends and hints of a chart or of a table's columns."""
    if isinstance(spec, Mapping):
        for name, value in spec.items():
            yield from _said(value, name)
    elif isinstance(spec, list):
        for one in spec:
            yield from _said(one, key)
    elif isinstance(spec, str) and key in SAID:
        yield spec


SAID = {
    "text", "name", "hovertemplate", "hovertext", "customdata", "ticktext", "label", "labels", "help", "title",
    "x", "y",
}  # fmt: skip
"""Keys of a chart's or a table's description whose texts are read."""
