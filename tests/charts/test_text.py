"""No literal sentence is handed to the browser without `t` or `tn`; what a page composes is found by drawing it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tale_core.settings import REPO_ROOT

SHOWN_FIRST = {
    "badge", "button", "caption", "checkbox", "code_input", "data_editor", "date_input", "download_button", "error",
    "expander", "feedback", "file_uploader", "form_submit_button", "header", "info", "link_button",
    "markdown", "menu_button", "metric", "multiselect", "number_input", "pills", "popover", "progress", "radio",
    "segmented_control", "select_slider", "selectbox", "slider", "spinner", "status", "subheader", "success", "text",
    "text_area", "text_input", "title", "toast", "toggle", "warning", "write", "dialog", "tabs", "chat_input",
    "TextColumn", "NumberColumn", "SelectboxColumn", "CheckboxColumn", "LinkColumn", "ProgressColumn", "ListColumn",
    "DatetimeColumn", "DateColumn", "Column", "BarChartColumn", "LineChartColumn", "JsonColumn", "MultiselectColumn",
    "page", "heading",
}  # fmt: skip
"""Functions of Streamlit, and of our own, whose first argument people read."""
SHOWN_NAMED = {"label", "help", "placeholder", "alt", "text", "title", "title_text", "hovertemplate", "explained"}
"""Arguments that people read, whatever function takes them."""
NOT_SHOWN = {"t", "tn", "N_", "Question", "Palette"}
"""Functions whose arguments are translated, sent to a model, or colours."""
SEEN_THROUGH = {"literal", "sanitize", "joined", "plain", "answer_text", "str"}
"""Functions that show what they are given."""
_NOT_LANGUAGE = re.compile(
    r"https?:\S+|:material/\w+:|:[a-z]+(?:-[a-z]+)*\[|`[^`]*`|</?\w+/?>|%?\{\w*(?:\[\d\])?\}|&\w+;|max_tokens|TALE"
    r"|^[a-zA-Z-]+\d[\w-]*$"  # A name that is given as an example (gsm8k, gpt-4o-mini), or a code.
)


def sentences(node: ast.expr | None) -> Iterator[str]:
    """The words of this expression that no `t` stands around."""
    match node:
        case ast.Constant(value=str(words)):
            if re.search("[A-Za-z]{2}", _NOT_LANGUAGE.sub(" ", words)):
                yield words
        case ast.JoinedStr():
            yield from sentences(
                ast.Constant("".join(p.value if isinstance(p, ast.Constant) else "{}" for p in node.values))
            )
            for part in node.values:
                if isinstance(part, ast.FormattedValue):
                    yield from sentences(part.value)
        case ast.IfExp():
            yield from [*sentences(node.body), *sentences(node.orelse)]
        case ast.BoolOp() | ast.List() | ast.Tuple():
            for one in node.values if isinstance(node, ast.BoolOp) else node.elts:
                yield from sentences(one)
        case ast.BinOp():
            yield from [*sentences(node.left), *sentences(node.right)]
        case ast.Call(func=ast.Name(id=name)) if name in SEEN_THROUGH:
            for one in node.args:
                yield from sentences(one)


def unwrapped(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in NOT_SHOWN:
            continue
        shown = [k.value for k in node.keywords if k.arg in SHOWN_NAMED]
        shown += node.args[:1] if name in SHOWN_FIRST else []
        found += [f"line {node.lineno}: {words}" for one in shown for words in sentences(one)]
    return found


@pytest.mark.parametrize("path", sorted((REPO_ROOT / "ui").glob("*.py")), ids=lambda p: p.name)
def test_nothing_is_shown_that_cannot_be_translated(path: Path) -> None:
    assert unwrapped(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("st.caption('Some words')", 1),
        ("st.caption(t('Some words'))", 0),
        ("st.button(label, help='Some words', icon=':material/stop:', key='a_key')", 1),
        ("st.caption(f'{n} words')", 1),
        ("st.markdown(f'**{literal(words)}** · {n}')", 0),
        ("st.caption(literal('Some words'))", 1),
        ("st.caption('Some words' if x else t('Others'))", 1),
        ("st.caption(f'{x or \"nothing\"}')", 1),
        ("st.column_config.TextColumn('Some words')", 1),
        ("st.text_input(t('Address'), placeholder='https://…/v1')", 0),
    ],
)
def test_the_check_finds_what_it_is_meant_to_find(source: str, found: int) -> None:
    assert len(unwrapped(source)) == found
