"""The part `fuzz`: bytes of others, changed in every way, for as long as one likes (`--minutes 30`), into each reader.

A reader may read them or refuse them in words (a `TaleError`); it may not fail in any other way, nor take longer than
`MOST_S` of processor time. What breaks one is made as short as it can be, and printed; it then becomes a test.
"""

from __future__ import annotations

import base64
import io
import json
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.clock import MeasurementError
from benchmarks.figures import Goal, Interval
from benchmarks.kept import Kept
from benchmarks.parts import Options, PartResult, Table
from tale_core.datasets.loading import read_upload
from tale_core.datasets.logs import read_log
from tale_core.datasets.predictions import read_predictions
from tale_core.errors import InputError, TaleError
from tale_core.estimators import saved
from tale_core.estimators.base import parse_budget
from tale_core.grading import grade
from tale_core.grading.lines.calculator import work_out
from tale_core.grading.thinking import split_thinking
from tale_core.labels.label_files import read_labels
from tale_core.lessons.recipes import read_recipes
from tale_core.models.adapters.gguf_file import read_header
from tale_core.models.client.events import EventLines, StreamedError, WebPageError, documents
from tale_core.models.endpoint_url import validate_base_url
from tale_core.models.endpoints import read_secrets_file
from tale_core.models.groups.config import groups
from tale_core.settings import Settings, get_settings
from tale_core.store import Archive, export_archive, import_archive, look, open_store
from tale_core.types import Question
from tests.labels import samples
from tests.support import log_files
from tests.tuning.samples import lora

MINUTES = 1.0
AT_ONCE = 50
MOST_S, ENDS_S = 5.0, 30.0
"""Seconds of the processor for one file: what takes more breaks its reader, and what takes much more is ended."""
TOKENS = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n\n", b'"', b"'", b",", b"\\", b"{", b"}", b"[" * 300, b"(" * 300,
    b"\\ud83d", "\u202e".encode(), "\u0663\u0664".encode(), "\uff11\u3002".encode(), b"NaN", b"Infinity", b"1e999",
    b"-0", b"9" * 5000, b"null", b"true", b"=cmd()", b"<think>", b"</think>", b"\\boxed{", b"[[", b"]]", b"####", b"**",
    b"9**9**9", b"\x1b[31m", b"data: ", b"PK\x03\x04", b"\xff\xff\xff\x7f", b"\xff" * 8,
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A reader of foreign bytes, and whole files that are changed for it."""

    name: str
    seeds: tuple[bytes, ...]
    read: Callable[[bytes], object]
    at_once: int = AT_ONCE


@dataclass
class Broken(Exception):
    """What broke a reader, as short as it could be made."""

    data: bytes
    why: str


@dataclass
class Found:
    """What happened to one reader."""

    read: int = 0
    refused: int = 0
    broken: list[dict[str, str]] = field(default_factory=list)

    @property
    def files(self) -> int:
        """All of them."""
        return self.read + self.refused + len(self.broken)


@st.composite
def changed(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A whole file with a few changes: bytes, pieces that mean something, and pieces of itself or of another file."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(data)))
        to = min(len(data), at + draw(st.sampled_from((0, 0, 1, 2, 8, 64, 4096))))
        other = draw(st.sampled_from(seeds))
        start = draw(st.integers(0, len(other)))
        put = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from(TOKENS),
                st.just(b""),
                st.just(other[start : start + draw(st.sampled_from((1, 16, 256)))]),
            )
        )
        data = data[:at] + put + data[to:]
    return data


def run(options: Options) -> PartResult:
    """Measure."""
    made = targets(get_settings().data_dir / "fuzz")
    for one in made:
        for whole in one.seeds:  # What a reader imports at its first file is not the file's.
            with suppress(TaleError):
                one.read(whole)
    minutes = options.minutes or MINUTES
    kept = Kept(options.keep, f"fuzz-{minutes:g}-{options.seed}")
    before = kept.read()
    found = {one.name: Found(**before.get("found", {}).get(one.name, {})) for one in made}
    turn, spent = before.get("turn", options.seed), before.get("seconds", 0.0)
    began = time.monotonic() - spent
    while (now := time.monotonic() - began) < 60 * minutes:
        files = sum(f.files for f in found.values())
        options.say(f"minute {now / 60:.1f} of {minutes:g}, turn {turn - options.seed + 1}: {files:,} files")
        for one in made:
            if time.monotonic() - began < 60 * minutes:
                once(one, found[one.name], turn)
        turn += 1
        named = {name: asdict(one) for name, one in found.items()}
        kept.write({"turn": turn, "seconds": time.monotonic() - began, "found": named})
    kept.done()
    broken = [f"{name}: {one['why']}: {one['base64']}" for name, f in found.items() for one in f.broken]
    if not any(f.read for f in found.values()):
        raise MeasurementError("no file was read: give it more time, as in --minutes 1")
    return PartResult(
        name="fuzz",
        tables=(_table(found, minutes),),
        goals=(Goal("fuzz: files that broke a reader", "at most", 0, _counted(found, float(len(broken)))),),
        data={"minutes": minutes, **{name: asdict(f) for name, f in found.items()}},
        notes=tuple(broken),
    )


def _counted(found: dict[str, Found], value: float) -> Interval:
    return Interval(sum(f.files for f in found.values()), value, value, value)


def once(target: Target, found: Found, number: int) -> None:
    """Some hundred changed files through one reader; what breaks it is noted, once for each way."""

    @seed(number)
    @settings(
        max_examples=target.at_once, deadline=None, database=None, print_blob=False,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(changed(target.seeds))
    def check(data: bytes) -> None:
        began = time.process_time()
        try:
            with ended_in_time():
                target.read(data)
            found.read += 1
        except TaleError:
            found.refused += 1
        except Exception as e:
            raise Broken(data, _where(e)) from None
        if time.process_time() - began > MOST_S:
            raise Broken(data, f"more than {MOST_S:g} s")

    try:
        check()
    except* Broken as group:
        for one in _each(group):
            note = {"why": one.why, "base64": base64.b64encode(one.data).decode()}
            if note["why"] not in {known["why"] for known in found.broken}:
                found.broken.append(note)


@contextmanager
def ended_in_time() -> Iterator[None]:
    """Ends what takes for ever; by the processor's clock, as a busy machine is no fault of the file's."""

    def end(*_: object) -> None:
        raise TimeoutError(f"more than {ENDS_S:g} s")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, ENDS_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _each(error: BaseException) -> list[Broken]:
    if isinstance(error, BaseExceptionGroup):
        return [one for inner in error.exceptions for one in _each(inner)]
    return [error] if isinstance(error, Broken) else []


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    last = ""
    while trace is not None:
        last = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {last}: {str(error)[:80]!r}"


def targets(folder: Path) -> tuple[Target, ...]:
    """Every reader of bytes that come from elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    csv = b'question,answer\n"What is 6 times 7?",42\n"1,000 + 1?","1,001"\n'
    rows = [{"question": "6 times 7?", "answer": "42"}, {"question": "Which?", "answer": "B", "options": ["1", "2"]}]
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    whole = json.dumps(rows, indent=1).encode()
    logs = (log_files.harness(), log_files.inspect_log(log_files.inspect_sample("a?", "42")), log_files.promptfoo(),
            log_files.openai_evals())  # fmt: skip
    verdicts = b"question,answer_text,verdict,annotator\nWhat is 6 times 7?,So [[42]],right,Ada\n"
    toml = b'[[lab.endpoints]]\nbase_url = "http://127.0.0.1:1/v1"\nweight = 2\nmodel = "m"\napi_key_env = "X"\n'
    stream = b'event: x\ndata: {"choices": [{"delta": {"content": "a"}}]}\r\n\ndata: [DONE]\n\n: ping\n'
    texts = (
        "<think>6 times 7</think>The answer is \\boxed{42}.", "So x = 3/4, or 75 %. #### 1,234.50", "[[B]] because",
        "答案是四十二。", "\\frac{1}{2}\\sqrt{3} m/s^2, (1, 2], {1, 2}", "a = 6\nb = a * 7\nanswer = b",
    )  # fmt: skip
    answers = tuple(text.encode() for text in texts)
    archives = _archives(folder)
    return (
        Target("questions.csv", (csv,), lambda data: read_upload("a.csv", data)),
        Target("questions.tsv", (csv.replace(b",", b"\t"),), lambda data: read_upload("a.tsv", data)),
        Target("questions.json", (whole, lines), lambda data: read_upload("a.json", data)),
        Target("questions.jsonl", (lines,), lambda data: read_upload("a.jsonl", data)),
        Target("questions.parquet", (_parquet(rows),), lambda data: read_upload("a.parquet", data), 8),
        Target("predictions", (lines, csv, *logs), lambda data: read_predictions("a.jsonl", data)),
        Target("logs", logs, lambda data: _log(data, ".json")),
        Target("logs.eval", (log_files.inspect_archive(), log_files.inspect_archive(zstandard=True)),
               lambda data: _log(data, ".eval")),
        Target("labels", (verdicts, csv), lambda data: read_labels("a.csv", data)),
        Target("archive", archives, lambda data: _archive(data, folder), 20),
        Target("archive's lines", (_lines_of(archives[0]),),
               lambda data: _archive(_packed(archives[0], data), folder), 20),
        Target("gguf", (lora(),), lambda data: read_header(_file(folder / "a.gguf", data))),
        Target("estimator", _estimators(), lambda data: saved.load(_file(folder / "a.skops", data))),
        Target("groups.toml", (toml,), lambda data: groups(Settings(endpoint_groups=_file(folder / "a.toml", data)))),
        Target("secrets.toml", (b'A = "b"\n[c]\nd = 1\n',),
               lambda data: read_secrets_file(_file(folder / "s.toml", data))),
        Target("recipes.toml", (_recipes(),), lambda data: read_recipes(_file(folder / "r.toml", data))),
        Target("events", (stream, b"<html>Sign in</html>"), _events),
        Target("address", (b"https://user@[::1%25x]:80/v1?api-version=1#a", "http://127。0。0。1/v1".encode()),
               lambda data: validate_base_url(_text(data), has_key=True)),
        Target("budget", (b"Budget: [[25]]", "预算：１２，３４５".encode(), b"between 1,000 and 2.5k tokens"),
               lambda data: parse_budget(_text(data))),
        Target("grading", answers, _grade, 30),
        Target("thinking", answers, lambda data: split_thinking(_text(data))),
        Target("calculator", (answers[-1], b"x = 2**64 / 3 % 5\nx += round(sqrt(2), 3)\nanswer = max(x, 1)"),
               lambda data: work_out(_text(data))),
    )  # fmt: skip


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _file(path: Path, data: bytes) -> Path:
    path.unlink(missing_ok=True)  # Another file, whatever its time and size.
    path.write_bytes(data)
    return path


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def _log(data: bytes, suffix: str) -> None:
    found = read_log(data, suffix)
    for _ in found.samples if found is not None else ():
        pass


def _events(data: bytes) -> None:
    lines = EventLines()
    try:
        for at in range(0, len(data), 7):
            for event in lines.feed(data[at : at + 7]):
                with suppress(StreamedError, ValueError):  # As `documents` says.
                    list(documents(event))
    except WebPageError as e:  # What a client's error says in words.
        raise InputError("a web page") from e


def _grade(data: bytes) -> None:
    text = _text(data)
    for known in ("42", "3/4", "B", text[:20]):
        grade(text, Question("Which?", answer=known, options=("1", "2") if known == "B" else ()), finish_reason="stop")


def _recipes() -> bytes:
    from tale_core.lessons.recipes import RECIPES

    return RECIPES.read_bytes()


def _estimators() -> tuple[bytes, ...]:
    from tale_core.settings import DATA_ROOT

    found = tuple(path.read_bytes() for path in sorted((DATA_ROOT / "estimators").rglob("*.skops")))
    return found[:2] or (b"PK\x03\x04",)


def _archives(folder: Path) -> tuple[bytes, ...]:
    store = open_store(f"sqlite:///{folder / 'source.db'}")
    for question in samples.numbered(3):
        samples.asked(store, question, f"{question.text} [[5]]", "[[6]]")
    path = folder / "whole.tale.zip"
    export_archive(store, path, overwrite=True)
    store.close()
    return (path.read_bytes(),)


def _lines_of(archive: bytes) -> bytes:
    """All members but the manifest, one after the other, each behind its name."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        names = [one for one in opened.namelist() if one != "manifest.json"]
        return b"".join(b"\x1e" + name.encode() + b"\n" + opened.read(name) for name in names)


def _packed(archive: bytes, lines: bytes) -> bytes:
    """The archive with these lines, and a manifest that fits them: what the lines say is looked at, and no checksum."""
    members = dict(part.partition(b"\n")[::2] for part in lines.split(b"\x1e") if part)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        manifest = json.loads(opened.read("manifest.json"))
        held = {name: opened.read(name) for name in opened.namelist() if name != "manifest.json"}
    for table in manifest["tables"]:
        text = held[table["file"]] = members.get(table["file"].encode(), held[table["file"]])
        table |= {"bytes": len(text), "rows": text.count(b"\n"), "sha256": sha256(text).hexdigest()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in held.items():
            made.writestr(name, text)
        made.writestr("manifest.json", json.dumps(manifest))
    return out.getvalue()


def _archive(data: bytes, folder: Path) -> None:
    """Looked at, and brought into a database that is empty before and after."""
    store = open_store(f"sqlite:///{folder / 'target.db'}")
    with Archive(io.BytesIO(data)) as archive:
        look(store, archive)
    with Archive(io.BytesIO(data)) as archive:
        import_archive(store, archive, existing="replace")


def _table(found: dict[str, Found], minutes: float) -> Table:
    every = Found(
        sum(f.read for f in found.values()),
        sum(f.refused for f in found.values()),
        [one for f in found.values() for one in f.broken],
    )
    rows = tuple(
        (name, f"{f.files:,}", f"{f.read:,}", f"{f.refused:,}", str(len(f.broken)))
        for name, f in {**found, "all": every}.items()
    )
    title = f"{every.files:,} changed files through {len(found)} readers, {minutes:g} min"
    return Table(title, ("reader", "files", "read", "refused in words", "broken by"), rows)
