"""A question as numbers: hashed words and characters, and counts of its structure. Stateless.

Nothing is learnt here: the columns are the same for every question on every machine, so a saved estimator holds no
word of the questions it was trained on, and nothing can leak from a test fold. Of a question only text, options,
language and the kind of its answer are read; its answer, topic and difficulty are not known when a budget is needed.
scikit-learn is imported when the first matrix is made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tale_core.grading import infer_kind
from tale_core.i18n import N_
from tale_core.types import Question

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
"""Goes up when any column changes; an estimator trained with another version is not loaded."""

WORD_COLUMNS = 2048
CHARACTER_COLUMNS = 2048
MAX_CHARS = 20_000

_CJK = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]+")
_SENTENCE = re.compile(r"(?<![.!?。！？])[.!?。！？]++(?=\s|$|[\u3400-\u9fff])")
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_CLAUSE = re.compile(r"[,;:，；：、]")
_SYMBOL = re.compile(r"[-+−*/×÷=^<>√]")
_ASKED = re.compile(r"\b(?:how|what|which|who|when|where|why|find|calculate)\b|[?？]|多少|几|什么|哪|求", re.IGNORECASE)
_OPERATIONS = {
    "add": r"\b(?:sum|total|altogether|together|more|plus|add(?:ed|s)?|and|both|combined)\b|共|和|加|总|多",
    "subtract": r"\b(?:left|less|fewer|minus|remain\w*|difference|lost?|gave|spent|sold|away)\b|剩|减|少|差|花|卖",
    "multiply": r"\b(?:times|each|every|per|twice|double|triple|product|dozen)\b|每|乘|倍|积",
    "divide": r"\b(?:half|third|quarter|split|share[ds]?|divid\w*|equally|average|percent\w*)\b|%|除|分|平均|半|比",
    "compare": r"\b(?:if|than|same|until|after|before|then|how many more)\b|如果|比|之后|之前|然后",
}
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _OPERATIONS.items()}

STRUCTURE = (
    N_("characters"), N_("words"), N_("sentences"), N_("clauses"), N_("questions asked"),
    N_("numbers"), N_("different numbers"), N_("largest number"), N_("fractions"), N_("symbols"),
    N_("add"), N_("subtract"), N_("multiply"), N_("divide"), N_("compare"),
    N_("options"), N_("characters in options"), N_("Chinese"), N_("choice"), N_("text answer"),
)  # fmt: skip
"""Names of the structure columns, in order."""

GROUPS: dict[str, tuple[str, ...]] = {
    N_("length"): ("characters", "words", "sentences", "clauses", "questions asked"),
    "numbers": ("numbers", "different numbers", "largest number", "fractions", "symbols"),
    N_("operations"): ("add", "subtract", "multiply", "divide", "compare"),
    N_("form"): ("options", "characters in options", "Chinese", "choice", "text answer"),
}
"""Structure columns that are shuffled together when their importance is measured."""

_FIRST = WORD_COLUMNS + CHARACTER_COLUMNS


def structure(question: Question) -> tuple[float, ...]:
    """The structure columns of a question, in the order of STRUCTURE; counts, the largest number as its log10."""
    text = question.text[:MAX_CHARS]
    numbers = [float(n.replace(",", "")) for n in _NUMBER.findall(text)]
    # Without the known answer, and without a kind that was inferred from it: a new question must come out the same.
    kind = infer_kind(replace(question, answer=None, kind=None))
    return (
        math.log1p(len(text)),
        math.log1p(len(_WORD.findall(text)) + len(_CJK.findall(text))),
        float(len(_SENTENCE.findall(text))),
        float(len(_CLAUSE.findall(text))),
        float(len(_ASKED.findall(text))),
        float(len(numbers)),
        float(len(set(numbers))),
        math.log10(1.0 + min(max(numbers, default=0.0), 1e30)),
        float(sum(not n.is_integer() for n in numbers if math.isfinite(n)) + text.count("%")),
        float(len(_SYMBOL.findall(text))),
        *(float(len(pattern.findall(text))) for pattern in _PATTERNS.values()),
        float(len(question.options)),
        math.log1p(sum(map(len, question.options))),
        float(question.language == "zh"),
        float(kind == "choice"),
        float(kind == "text"),
    )


def matrix(questions: Sequence[Question]) -> Any:
    """One row a question as a sparse matrix: hashed words, hashed characters, then STRUCTURE."""
    import numpy as np
    from scipy.sparse import csr_matrix, hstack  # type: ignore[import-untyped]
    from sklearn.feature_extraction.text import HashingVectorizer  # type: ignore[import-untyped]

    # Hashing encodes as UTF-8, which has no lone surrogates.
    whole = (" ".join((q.text[:MAX_CHARS], *q.options))[: 2 * MAX_CHARS] for q in questions)
    texts = [text.encode("utf-8", "replace").decode() for text in whole]
    # alternate_sign=False keeps counts positive, as the TF-IDF weighting after it needs.
    common = {"alternate_sign": False, "norm": None, "lowercase": True}
    words = HashingVectorizer(ngram_range=(1, 2), n_features=WORD_COLUMNS, **common)
    characters = HashingVectorizer(analyzer="char", ngram_range=(2, 3), n_features=CHARACTER_COLUMNS, **common)
    counts = csr_matrix(np.array([structure(q) for q in questions], dtype=float).reshape(len(texts), len(STRUCTURE)))
    return csr_matrix(hstack([words.transform(texts), characters.transform(texts), counts], format="csr"))


WORDING = N_("wording")
"""The group of all hashed words and characters."""


def columns(group: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The matrix columns of a group of GROUPS, or of WORDING."""
    import numpy as np

    if group == WORDING:
        return np.arange(_FIRST)
    return np.array([_FIRST + STRUCTURE.index(name) for name in GROUPS[group]])


def reducer(components: int = 6) -> Any:
    """An unfitted scikit-learn transformer from `matrix` to a few dense columns: TF-IDF, then the main directions."""
    from sklearn.compose import ColumnTransformer  # type: ignore[import-untyped]
    from sklearn.decomposition import TruncatedSVD  # type: ignore[import-untyped]
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.pipeline import Pipeline  # type: ignore[import-untyped]
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

    def main_directions() -> Any:
        return Pipeline(
            [
                ("weights", TfidfTransformer(sublinear_tf=True)),
                ("directions", TruncatedSVD(components, n_iter=3, random_state=0)),
            ]
        )

    return ColumnTransformer(
        [
            ("words", main_directions(), slice(0, WORD_COLUMNS)),
            ("characters", main_directions(), slice(WORD_COLUMNS, _FIRST)),
            ("structure", StandardScaler(with_mean=False), slice(_FIRST, _FIRST + len(STRUCTURE))),
        ],
        sparse_threshold=0.0,
    )
