"""A training's folder: everything that its process writes and everybody else reads.

    <data_dir>/tuning/<run>/
        plan.json  examples.jsonl     what was asked for
        state.json                    how far it is; replaced whole, by its own process alone
        losses.jsonl                  a line a step; only ever grows
        checkpoints/                  the trainer's own; a resume goes on from the newest whole one
        stop                          exists when it was asked to stop
        log.txt                       the process's own words

Looking needs no connection to the process: a refresh, another tab or another program finds the same. A process that is
gone without an end counts as interrupted. It imports no torch.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from tale_core.errors import InputError, NotFoundError, TuningError
from tale_core.files import write_whole
from tale_core.i18n import from_stored, t, to_stored
from tale_core.process import HEARTBEAT_LIMIT, owner_is_gone
from tale_core.settings import get_settings
from tale_core.tuning.examples import Examples
from tale_core.tuning.examples_file import from_jsonl, to_jsonl
from tale_core.tuning.plan import TunePlan
from tale_core.tuning.run_state import Estimate, Loss, RunState

_RUN = re.compile(r"tune-[0-9a-f]{12}")
MAX_LOSSES = 100_000


@dataclass(frozen=True, slots=True)
class TuneRun:
    """A training's folder."""

    path: Path
    plan: TunePlan = field(compare=False)

    @property
    def id(self) -> str:
        """Its name; `?training=` of a link."""
        return self.path.name

    @property
    def checkpoints(self) -> Path:
        """The trainer's own folder."""
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        """The process's own words."""
        return self.path / "log.txt"

    @property
    def stop_file(self) -> Path:
        """Exists when the training was asked to stop."""
        return self.path / "stop"

    def examples(self) -> Examples:
        """What it is trained on.

        Raises:
            InputError: The file is damaged.
        """
        return from_jsonl((self.path / "examples.jsonl").read_text(encoding="utf-8"), where="examples.jsonl")

    def state(self) -> RunState:
        """How far it is; a running one whose process is gone is interrupted."""
        state = self._read()
        if not state.running:
            return state
        state = replace(state, owner=state.owner or self.spawned_by())
        now = datetime.now(UTC)
        seen = datetime.fromisoformat(state.updated_at) if state.updated_at else now
        gone = owner_is_gone(state.owner, heartbeat_at=seen, now=now) if state.owner else now - seen > HEARTBEAT_LIMIT
        return replace(self._read_again(state), message="") if gone else state

    def spawned(self, owner: str) -> None:
        """Note whose process it is, for the seconds until that process writes a state of its own.

        In a file of its own: the process that starts it must not overwrite what it has written meanwhile.
        """
        _write(self.path / "owner", owner)

    def spawned_by(self) -> str:
        """The process that was started last; "" before it is known."""
        try:
            return (self.path / "owner").read_text(encoding="utf-8")
        except OSError:
            return ""

    def _read_again(self, state: RunState) -> RunState:
        """It may have written its end and left between the two looks."""
        again = self._read()
        return again if not again.running else replace(state, status="interrupted", phase="ended")

    def _read(self) -> RunState:
        try:
            stored = json.loads((self.path / "state.json").read_text(encoding="utf-8"))
            known = {f.name: stored[f.name] for f in fields(RunState) if f.name in stored}
            known |= {name: from_stored(known[name]) for name in ("message", "error") if name in known}
            if known.get("estimate"):
                known["estimate"] = Estimate(**known["estimate"])
            return RunState(**known)
        except FileNotFoundError:
            return RunState()
        except (OSError, ValueError, TypeError, AttributeError):
            return RunState(status="failed", phase="ended", error=t("Its state cannot be read: state.json is damaged."))

    def write(self, state: RunState) -> None:
        """Write how far it is, whole or not at all; a running one names its process as `owner`.

        Raises:
            TuningError: There is no room, or the folder is gone.
        """
        kept = asdict(state) | {"message": to_stored(state.message), "error": to_stored(state.error)}
        kept["updated_at"] = datetime.now(UTC).isoformat()
        _write(self.path / "state.json", json.dumps(kept, ensure_ascii=False))

    def append(self, loss: Loss) -> None:
        """Add a line to the loss curve.

        Raises:
            TuningError: There is no room, or the folder is gone.
        """
        line = json.dumps(asdict(replace(loss, at=datetime.now(UTC).isoformat())))
        try:
            with (self.path / "losses.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as e:
            raise no_room(self.path, e) from e

    def losses(self) -> tuple[Loss, ...]:
        """The loss curve. After a resume a step may stand twice: the last counts."""
        found: dict[tuple[bool, int], Loss] = {}
        try:
            lines = (self.path / "losses.jsonl").read_text(encoding="utf-8").splitlines()
        except OSError:
            return ()
        for line in lines[-MAX_LOSSES:]:
            with suppress(ValueError, TypeError):  # The last line may be half written.
                one = Loss(**json.loads(line))
                found[one.held_out, one.step] = one
        return tuple(sorted(found.values(), key=lambda one: (one.held_out, one.step)))

    def checkpoint(self) -> Path | None:
        """The newest whole checkpoint: the trainer writes its state last."""
        there = [p for p in self.checkpoints.glob("checkpoint-*") if (p / "trainer_state.json").is_file()]
        return max(there, key=lambda p: int(p.name.rpartition("-")[2] or 0), default=None)

    def forget_last(self) -> None:
        """Before a resume: the stop that was asked for, and the process that is gone."""
        for path in (self.stop_file, self.path / "owner"):
            path.unlink(missing_ok=True)

    def ask_to_stop(self) -> None:
        """It stops after the step that runs, and keeps a checkpoint."""
        with suppress(OSError):
            self.stop_file.touch()

    def tidy(self) -> None:
        """Drop the checkpoints of a training that has come to its end."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def last_words(self, lines: int = 6) -> str:
        """The end of its log, for an error that nobody foresaw."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def folder() -> Path:
    """Where this user's trainings are."""
    return get_settings().data_dir / "tuning"


def create(plan: TunePlan, examples: Examples, *, measure_only: bool = False) -> TuneRun:
    """A new training's folder; nothing runs yet.

    Raises:
        InputError: The plan is wrong, or there are too few examples.
        TuningError: The folder cannot be written.
    """
    plan.validate()
    plan.require(examples)
    path = folder() / f"tune-{uuid.uuid4().hex[:12]}"
    try:
        path.mkdir(parents=True, mode=0o700)
    except OSError as e:
        raise no_room(path, e) from e
    try:
        _write(path / "plan.json", json.dumps(plan.document(), ensure_ascii=False, indent=2))
        _write(path / "examples.jsonl", to_jsonl(examples))
        made = TuneRun(path, plan)
        made.write(RunState(measure_only=measure_only, started_at=datetime.now(UTC).isoformat()))
    except TuningError:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return made


def find(run_id: str) -> TuneRun:
    """The training of this id.

    Raises:
        NotFoundError: There is none, or its plan cannot be read.
    """
    path = folder() / run_id
    if not _RUN.fullmatch(run_id) or not path.is_dir():
        raise NotFoundError(t("There is no training {name!r}.", name=run_id[:60]), t("It may have been deleted."))
    try:
        return TuneRun(path, TunePlan.from_document(json.loads((path / "plan.json").read_text(encoding="utf-8"))))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise NotFoundError(
            t("The training {name!r} cannot be read.", name=run_id), t("Delete {path}.", path=path)
        ) from e


def listing() -> list[TuneRun]:
    """Every training that can be read, the newest first."""
    return sorted(_readable(), key=lambda run: run.state().started_at, reverse=True)


def _readable() -> Iterator[TuneRun]:
    for path in folder().glob("tune-*"):
        with suppress(NotFoundError):
            yield find(path.name)


def delete(run: TuneRun) -> None:
    """Delete a training with its checkpoints; the adapter that came out of it stays.

    Raises:
        InputError: It is running.
    """
    if run.state().running:
        raise InputError(t("The training {name!r} is running.", name=run.id), t("Stop it first."))
    shutil.rmtree(run.path, ignore_errors=True)


def no_room(path: Path, error: OSError) -> TuningError:
    """What writing met, in words."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return TuningError(
            t("The disk with {path} is full.", path=path),
            t("Free some room, then resume: it goes on from its last checkpoint. TALE_DATA_DIR moves the folder."),
        )
    return TuningError(
        t("{path} cannot be written: {reason}.", path=path, reason=error.strerror or error),
        t("Check the folder, then resume."),
    )


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as e:
        raise no_room(path.parent, e) from e
