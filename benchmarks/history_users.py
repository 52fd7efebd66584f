"""Many users of one store at once: questions whose answers grow, reads, searches, deletions, undone or not.

Each user is a thread against the real store, as on a shared server. Every user keeps a book of what it was told is
stored; at the end the store must hold exactly that.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from tale_core.errors import NotFoundError
from tale_core.store import CallStore, History, SessionFilter, Store, Trash, new_session_id
from tale_core.types import CallRecord, Message, Outcome, Question, Role, Sampling, SessionRecord

WORDS = ("apples", "trains", "课堂", "minutes", "triangle", "糖果", "pipes", "ribbon", "clock", "千米")
ROLES: tuple[Role, ...] = ("estimate", "vanilla", "budgeted")


@dataclass(slots=True)
class Seen:
    """What came of it.

    Attributes:
        seconds: Of every single action, by name.
        errors: What went wrong, in words.
        lost: Where the store does not hold what a user was told, in words.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def actions(self) -> int:
        """How many actions there were."""
        return sum(map(len, self.seconds.values()))


class User:
    """One of them.

    Args:
        store: The one that all share.
        number: Which one; decides what it does.
        seen: Where it tells what came of it.
        think_s: Longest pause between two actions.
    """

    def __init__(self, store: Store, number: int, seen: Seen, *, think_s: float) -> None:
        self._store, self._seen, self._think_s = store, seen, think_s
        self._rng = random.Random(number)
        self.name = f"user{number}"
        self.book: dict[str, tuple[str, ...]] = {}
        self.gone: set[str] = set()

    def live(self, until: float) -> None:
        """Act until a moment of `time.monotonic()`."""
        actions = (self.ask, self.ask, self.read, self.browse, self.browse, self.search, self.delete)
        while time.monotonic() < until:
            action = self._rng.choice(actions)
            began = time.perf_counter()
            try:
                action()
            except Exception as e:
                self._seen.errors.append(f"{self.name} {action.__name__}: {type(e).__name__}: {e}")
            self._seen.seconds[action.__name__].append(time.perf_counter() - began)
            time.sleep(self._rng.uniform(0, self._think_s))

    def ask(self) -> None:
        """Ask a question; its answers grow and end."""
        question = Question(f"{self.name} asks about {self._rng.choice(WORDS)} and {self._rng.choice(WORDS)}")
        session = SessionRecord(new_session_id(), question, "scripted", "embedded", "zero-shot")
        self._store.create_session(session)
        texts = tuple(self._answer(session, role) for role in ROLES)
        self._store.update_session(session.id, budget=50)
        self._store.finish_session(session.id, "done")
        self.book[session.id] = texts

    def _answer(self, session: SessionRecord, role: Role) -> str:
        calls, asked = CallStore(self._store), (Message("user", "?"),)
        call = CallRecord(session.id, role, "running", "scripted", "embedded", "paper", 1, asked, Sampling())
        call = replace(call, id=calls.write([call])[0])
        text = ""
        for _ in range(self._rng.randint(1, 5)):
            text += " ".join(self._rng.choices(WORDS, k=12)) + " "
            calls.write([replace(call, text=text, completion_tokens=len(text))])
            time.sleep(self._rng.uniform(0, self._think_s / 4))
        outcome = self._rng.choice((Outcome.CORRECT, Outcome.WRONG))
        calls.write([replace(call, status="done", text=text, outcome=outcome, extracted="42", extracted_by="phrase")])
        return text

    def read(self) -> None:
        """Open a session of its own, or one that is gone."""
        if self.book:
            session_id, texts = self._rng.choice(list(self.book.items()))
            found = tuple(call.text for call in self._store.get_session(session_id).calls)
            if found != texts:
                self._seen.lost.append(f"{session_id} reads as {len(found)} other answers")

    def browse(self) -> None:
        """Turn a few pages of the list."""
        chosen = SessionFilter(
            **self._rng.choice([{}, {"kind": "ask"}, {"status": "done"}, {"outcome": Outcome.WRONG}])
        )
        place = None
        for _ in range(3):
            listing = History(self._store).listing(chosen, after=place)
            if (place := listing.older) is None:
                break
        self._store.list_sessions(limit=12)

    def search(self) -> None:
        """Search for words."""
        History(self._store).listing(SessionFilter(text=f"{self.name} {self._rng.choice(WORDS)}"))

    def delete(self) -> None:
        """Delete a session of its own; half of the time change its mind."""
        if not self.book:
            return
        session_id = self._rng.choice(list(self.book))
        trash = Trash(self._store)
        done, refused = trash.delete([session_id])
        if refused or not done:
            self._seen.lost.append(f"{session_id} could not be deleted: {refused}")
            return
        if self._rng.random() < 0.5:
            trash.undo(session_id)
            return
        trash.finish([session_id])
        del self.book[session_id]
        self.gone.add(session_id)


def run_users(
    store: Store, *, users: int, seconds: float, think_s: float = 0.4, say: Callable[[str], None] = lambda words: None
) -> Seen:
    """Have so many users act for so many seconds, then compare the store with their books."""
    seen = Seen()
    before = store.count_sessions()
    crowd = [User(store, number, seen, think_s=think_s) for number in range(users)]
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=user.live, args=(until,), name=user.name) for user in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 120)
    say(f"{seen.actions:,} actions, comparing the store with what each user was told")
    check(store, crowd, seen, before)
    return seen


def check(store: Store, crowd: list[User], seen: Seen, before: int) -> None:
    """Note everything in which the store differs from the users' books."""
    expected = before + sum(len(user.book) for user in crowd)
    if (count := store.count_sessions()) != expected:
        seen.lost.append(f"{count} sessions are stored, not {expected}")
    for user in crowd:
        for session_id, texts in user.book.items():
            try:
                session = store.get_session(session_id)
            except NotFoundError:
                seen.lost.append(f"{session_id} is gone")
                continue
            if tuple(call.text for call in session.calls) != texts or session.status != "done":
                seen.lost.append(f"{session_id} is not as it was written")
        found = History(store).listing(SessionFilter(text=f'"{user.name} asks"'), limit=10_000)
        if {entry.summary.id for entry in found.entries} != set(user.book):
            seen.lost.append(f"the search does not find what {user.name} asked")
    if not Path(store.where).is_file():
        return  # A server keeps its own indexes right.
    with closing(sqlite3.connect(store.where)) as connection:
        for index in ("fts_question", "fts_answer"):
            try:
                connection.execute(f"INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)")
            except sqlite3.Error as e:
                seen.lost.append(f"{index}: {e}")
