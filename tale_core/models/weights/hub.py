"""The publisher's hub as a source of weights: one file over HTTP, resumed where it stopped.

A hub that does not answer within a few seconds is passed over, whatever hangs (name lookup, connection, answer): the
request runs in a thread that is left behind when its time is up.
"""

from __future__ import annotations

import os
import queue
import re
import threading
import time
from dataclasses import dataclass

from tale_core.i18n import N_, t
from tale_core.models.weights.part_file import BadSegment, Job, Sink, SourceFailed, require_room, without_secrets

NAME = N_("the publisher's hub")
CONNECT_S = 3.0
ANSWER_S = 6.0
"""Longest wait for the first answer, and for more bytes later."""
TRIES = 3
"""Failures in a row, without a byte of progress, after which the hub is given up."""
ROOM_MARGIN = 64_000_000


@dataclass(frozen=True, slots=True)
class _Head:
    """The answer's first line and what it says about the bytes to come."""

    status: int
    start: int
    total: int | None


class _Broken(Exception):
    """The connection failed or stalled; trying again may help. `why` says how, as the end of a sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _NoAnswer(_Broken):
    """Nothing came at all."""


def fetch_from_hub(job: Job) -> None:
    """Fill what is missing from the hub.

    Raises:
        SourceFailed: No such repository, no answer, or other bytes than the catalog's.
        StoppedError, DiskFullError: As they say.
    """
    if not job.model.hub_repo:
        raise SourceFailed(t("it does not have this file"))
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise SourceFailed(t("HF_HUB_OFFLINE is set"))
    require_room(job.folder, job.part.absent_bytes + ROOM_MARGIN)
    job.say(NAME)
    answered, failures = False, 0
    while job.part.missing():
        before = job.part.done_bytes
        try:
            _stream(job)
            answered = True
        except _Broken as e:
            # A hub that never answered is passed over at once; one that broke off in the middle is asked again.
            answered = answered or not isinstance(e, _NoAnswer)
            failures = 1 if job.part.done_bytes > before else failures + 1
            if failures >= TRIES or not answered:
                raise SourceFailed(e.why) from e
            job.report.wait(failures)


def hub_url(job: Job) -> str:
    """The file's address; HF_ENDPOINT names a mirror, as for the hub's own tools."""
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return f"{endpoint.rstrip('/')}/{job.model.hub_repo}/resolve/main/{job.model.hub_file}"


def _stream(job: Job) -> None:
    """One request for the first stretch that is missing."""
    first = job.part.missing()[0]
    reader = _Reader(hub_url(job), first.offset + job.part.begun(first), _end_of_stretch(job))
    try:
        _pour(job, reader, _expect_head(job, reader).start)
    finally:
        reader.stop()
    if not job.part.has(first):
        raise _Broken(t("it closed the connection in the middle of the file"))


def _end_of_stretch(job: Job) -> int:
    end = -1
    for segment in job.part.missing():
        if end not in (-1, segment.offset):
            break
        end = segment.end
    return end


def _expect_head(job: Job, reader: _Reader) -> _Head:
    try:
        head = reader.next(job)
    except _Broken as e:
        raise _NoAnswer(e.why) from e
    if not isinstance(head, _Head):
        raise _NoAnswer(t("it closed the connection without an answer"))
    if head.status not in (200, 206):
        raise SourceFailed(t("it answered with HTTP status {status}", status=head.status))
    if head.total is not None and head.total != job.model.size:
        raise SourceFailed(
            t("its file has {found:,} bytes, the catalog says {wanted:,}", found=head.total, wanted=job.model.size)
        )
    return head


def _pour(job: Job, reader: _Reader, position: int) -> None:
    """Write what arrives to its place in the file."""
    sink = Sink(job.part, position)
    try:
        while isinstance(piece := reader.next(job), bytes):
            sink.feed(piece)
            job.say(NAME, more=sink.unnoted)
    except BadSegment as e:
        if e.resumed:  # the bytes of an earlier run were wrong and are forgotten now: ask for the whole segment
            raise _Broken(e.why) from e
        raise SourceFailed(t("its file differs from the catalog's (sha256); nothing of it was used")) from e
    finally:
        sink.close()


class _Reader:
    """A GET in a thread of its own, handing over a `_Head`, then pieces of the body, then None."""

    def __init__(self, url: str, start: int, end: int) -> None:
        self._items: queue.Queue[_Head | bytes | Exception | None] = queue.Queue(maxsize=32)
        self._stopped = threading.Event()
        threading.Thread(target=self._run, args=(url, start, end), name="tale-hub", daemon=True).start()

    def stop(self) -> None:
        """Tell the thread to end; it closes the connection at the next piece or time-out."""
        self._stopped.set()

    def next(self, job: Job) -> _Head | bytes | None:
        """Wait for the next item.

        Raises:
            _Broken: Nothing came in time, or the connection failed.
            StoppedError: The caller asked to stop.
        """
        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                item = self._items.get(timeout=0.05)
            except queue.Empty:
                job.report.check()
                if time.monotonic() > deadline:
                    raise _Broken(t("it did not answer within {seconds:.0f} s", seconds=ANSWER_S)) from None
                continue
            if isinstance(item, Exception):
                raise _Broken(_in_words(item)) from item
            return item

    def _run(self, url: str, start: int, end: int) -> None:
        try:
            self._get(url, start, end)
            self._put(None)
        except Exception as e:
            self._put(e)

    def _get(self, url: str, start: int, end: int) -> None:
        import httpx2

        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        timeout = httpx2.Timeout(ANSWER_S, connect=CONNECT_S)
        with (
            httpx2.Client(timeout=timeout, follow_redirects=True) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            self._put(_head(response.status_code, dict(response.headers)))
            if response.status_code in (200, 206):
                for piece in response.iter_raw():
                    self._put(piece)
                    if self._stopped.is_set():
                        return

    def _put(self, item: _Head | bytes | Exception | None) -> None:
        while not self._stopped.is_set():
            try:
                return self._items.put(item, timeout=0.1)
            except queue.Full:
                continue


def _head(status: int, headers: dict[str, str]) -> _Head:
    ranged = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("content-range", ""))
    if status == 206 and ranged:
        return _Head(status, int(ranged[1]), int(ranged[2]))
    length = headers.get("content-length", "")
    return _Head(status, 0, int(length) if length.isdigit() else None)


def _in_words(error: Exception) -> str:
    import httpx2

    match error:
        case httpx2.ConnectTimeout():
            return t("no connection within {seconds:.0f} s", seconds=CONNECT_S)
        case httpx2.TimeoutException():
            return t("it did not answer within {seconds:.0f} s", seconds=ANSWER_S)
        case httpx2.ConnectError():
            return t("no connection ({problem})", problem=without_secrets(str(error)))
        case _:
            return t("the connection failed ({problem})", problem=without_secrets(str(error)) or type(error).__name__)
