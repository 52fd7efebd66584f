"""What makes two questions, or two answers, the same for people who label them.

Labels hang on what was asked and what was written, not on a row of a table: an answer that stands in five sessions
(reused, repeated, written again word for word) is judged once, and a judgement outlives the session it was made in.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence

MARK = "mark:"
"""What the target of a mark begins with: a mark stands beside the verdict on the same answer."""
KEY_LENGTH = 40
SPOTS = 2**31
"""Places of the shuffled order; a multiplication of two of them stays inside 64 bits on every database."""


def normalised(text: str) -> str:
    """A question's text as it is compared: full-width forms folded, runs of white space made one space."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def question_key(text: str, options: Sequence[str] = ()) -> str:
    """Names a question: its text and its options, whatever the spacing (40 hex digits)."""
    return _digest("question", normalised(text), [normalised(o) for o in options])


def answer_key(question: str, text: str, *, cut: bool) -> str:
    """Names an answer to a question (40 hex digits).

    Args:
        question: The question's key.
        text: What the model wrote.
        cut: It was ended by a limit on tokens: the same words, but perhaps not all of them.
    """
    return _digest("answer", question, text, cut)


def mark_target(answer: str, thought: str = "") -> str:
    """Names the trace of an answer, whose sentences are counted for a mark: its text, and the thought before it.

    Args:
        answer: The answer's key, which its text alone decides.
        thought: What the endpoint told apart as reasoning; two traces of one text are two targets.
    """
    return f"{MARK}{answer}" + (f":{_digest('thought', thought)[:16]}" if thought else "")


def marked_answer(target: str) -> str:
    """The key of the answer that a mark is about; any other target is its own."""
    return target.removeprefix(MARK).partition(":")[0]


def annotator_key(name: str) -> str:
    """Names a person: "Ada" and " ada " are one annotator."""
    return normalised(name).casefold()


def spot_of(key: str) -> int:
    """A place in the shuffled order, drawn from a key."""
    return int(key[:8], 16) % SPOTS


def order_of(annotator: str) -> tuple[int, int]:
    """Multiplier (odd) and offset that turn every spot into this annotator's own order, the same every time."""
    digest = _digest("order", annotator)
    return int(digest[:8], 16) % SPOTS | 1, int(digest[8:16], 16) % SPOTS


def _digest(*parts: object) -> str:
    text = json.dumps(parts, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:KEY_LENGTH]
