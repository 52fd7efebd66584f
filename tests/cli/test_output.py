"""What a command writes cannot drive the terminal that shows it, whoever wrote the words."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path

import pytest
from rich.table import Table

from tale_core.cli import output

COMMANDS = Path(output.__file__).parent
DRIVES = ("\x1b[2J", "\x9b2J", "\x9d0;t\x9c", "\x07", "\x08", "\x7f", "\x85", "\u202e", "\u2066", "\ufeff", "\ud83d")


@pytest.mark.parametrize("text", DRIVES, ids=ascii)
def test_nothing_that_is_written_drives_a_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.say(f"a{text}b\n\tc")
    output.emit({"text": f"a{text}b"})
    table = Table("column")
    table.add_row(f"a{text}b")
    output.console_of(highlight=False, width=100).print(table)
    written = capsys.readouterr().out
    assert text[0] not in written
    assert f"⟨U+{ord(text[0]):04X}⟩" in written.split("{")[0] and "\n\tc" in written


@pytest.mark.parametrize("text", DRIVES, ids=ascii)
def test_json_that_is_written_says_what_was_there(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.emit({"text": [f"é 😀 \n{text}"]})
    written = capsys.readouterr().out
    assert text[0] not in written and "é 😀" in written
    assert json.loads(written) == {"text": [f"é 😀 \n{text}"]}


def test_an_output_of_another_encoding_gets_what_it_can_write() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    output.say("42 é 😀", file=out)
    out.flush()
    assert raw.getvalue() == b"42 ? ?\n"


def test_commands_write_in_one_way() -> None:
    for path in sorted(COMMANDS.glob("*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)):
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            assert name not in ("print", "Console") or path.name == "output.py", f"{path.name}:{call.lineno}"
