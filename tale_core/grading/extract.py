r"""Finding the final answer in a model's text.

Knows the forms answers come in; knows no known answers, so what it finds cannot depend on what is right. Everything
that runs over the whole text is linear in its length. Sources, first found wins, within a source the last one:

1. `[[…]]`, the format our prompts ask for;
2. `\boxed{…}`;
3. GSM8K's `#### 18` on a line of its own;
4. a phrase: "the answer is 18", "**Final answer**: 18", "答案是18", "故选B", "答：18元";
5. choices: a letter alone on the last line, or the text of an option;
6. numbers: the last number in the text, a last resort; free text: the last sentence.

A copied placeholder (`[[answer]]`, `[[选项]]`, `[[...]]`) and a copied example ("for example: Answer: [[50]]") are
passed over, and after one the last resort is not used: such an answer is unparsed, and not wrong.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator

from tale_core.grading.choice import chosen
from tale_core.grading.clean import clean, looks_like_math
from tale_core.grading.numbers import MAX_ANSWER_CHARS, last_number, leading_number, readings
from tale_core.grading.text import tidy, words
from tale_core.types import AnswerKind, Extraction

NOTHING = Extraction(None, "none")

_SLOTS = (
    r"(?:your |the |my )?(?:final |correct |numeric(?:al)? |short )?"
    r"(?:answer|choice|budget|number|option|letter|result|value|text|solution|response)s?(?: here| goes here|_here)?"
    r"|(?:你的|最终|正确|您的)?(?:答案|选项|预算|数字|结果|选择|字母)"
    r"|insert .{0,30}|n|#+|_+|-+|\?+|x{2,}|blank|placeholder"
)
_PLACEHOLDER = re.compile(_SLOTS, re.IGNORECASE)
_EXAMPLE_BEFORE = re.compile(r"(?:for example|for instance|e\.g\.|such as|例如|比如)[^\n\[\]]{0,30}$", re.IGNORECASE)
# One "[" or "]" inside is part of the answer (an interval); a run of brackets starts one try only.
_BRACKETS = re.compile(rf"(?<!\[)(\[{{2,}}+)((?:[^\[\]]|\[(?!\[)|\](?!\])){{1,{MAX_ANSWER_CHARS}}})(\]{{2,}}+)")
_BRACES = re.compile(r"\\(?:boxed|fbox) ?\{|\\[{}]|[{}]")
_HASHES = re.compile(rf"^[ \t*]*#{{4}}(?!#)[ \t]*(\S[^\n]{{0,{MAX_ANSWER_CHARS}}})$", re.MULTILINE)

_M = r"[\s*_`]"
_IS = rf"{_M}{{0,6}}(?:\b(?:is|are|equals|(?:would|should|must|will) be)\b(?:{_M}{{0,3}}:)?|[:=]){_M}{{0,6}}"
_ZH_IS = r"(?:应该是|应为|是|为|等于|[:=])[\s*_`:]{0,6}"
_ANSWER = (
    rf"(?<!\bto )\banswers?\b(?:\]\])?[^\n.:=\d\[\]]{{0,60}}?{_IS}"
    r"|^[ \t#*_]*(?:the )?(?:final )?answer[ \t*_]*\n\s{0,6}"
    rf"|(?:答案|结果)(?:\]\])?[^\n。:,\d\[\]]{{0,12}}?{_ZH_IS}"
)
_ZH_REPLY = r"(?<![一-鿿])答[ *_]{0,3}:[\s*_`]{0,6}"
_CHOOSE = (
    rf"\b(?:option|choice)\b{_IS}|\b(?:choose|select|pick)\s{{1,3}}(?:option )?"
    rf"|选择?(?!项)[\s*_`:]{{0,6}}|选项(?:\]\])?{_ZH_IS}"
)
_PHRASE: dict[AnswerKind, re.Pattern[str]] = {
    "number": re.compile(f"{_ANSWER}|{_ZH_REPLY}", re.IGNORECASE | re.MULTILINE),
    "text": re.compile(f"{_ANSWER}|{_ZH_REPLY}", re.IGNORECASE | re.MULTILINE),
    "choice": re.compile(f"{_ANSWER}|{_CHOOSE}", re.IGNORECASE | re.MULTILINE),
}
_MAX_CUES = 50
"""An answer announced more often than this is no announcement; keeps the work per text bounded."""
_CLAUSE_END = re.compile(r"\n|[。！；]|[.!?;](?=\s|$|\*)|,?\s+(?:because|since)\b")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
_IS_RIGHT = re.compile(r"\b(?:option|choice)\s{1,3}\(?([A-Z])\)?\s{1,3}is\s(?:the\s)?(?:correct|right|best)\b", re.I)


def extract_answer(text: str, kind: AnswerKind, options: tuple[str, ...] = ()) -> Extraction:
    """The final answer in `text`, read as `kind`; never raises. See the top of this module for the rules."""
    text = _after_thinking(tidy(text))
    brackets = list(_brackets(text))
    if (value := _last_real(brackets)) is not None:
        return Extraction(value, "brackets")
    if (value := _last_real(_boxed(text))) is not None:
        return Extraction(value, "boxed")
    if (value := _last_real(_hashes(text, kind, options))) is not None:
        return Extraction(value, "hashes")
    text = _BRACKETS.sub(lambda m: " " if _is_example(m) else m.group(), text)
    if (value := _last_real(_phrases(text, kind, options))) is not None:
        return Extraction(value, "phrase")
    return NOTHING if brackets else _last_resort(text, kind, options)


def _after_thinking(text: str) -> str:
    """What follows a visible chain of thought, for models that mark one."""
    tail = text.rpartition("</think>")[2]
    return tail if tail.strip() else text


def is_placeholder(value: str) -> bool:
    """Whether a value is the slot of a format instruction, copied, and not an answer."""
    bare = re.sub(r"[<>{}()\[\]*`\"']", "", value.replace("_", " ")).strip(" .。:：…\t\n")
    return not bare or bool(_PLACEHOLDER.fullmatch(bare))


def _last_real(values: Iterable[str]) -> str | None:
    last = None
    for value in values:
        if not is_placeholder(value):
            last = value.strip()
    return last


def _brackets(text: str) -> Iterator[str]:
    """Contents of `[[…]]` in order; "" stands for one that is quoted as an example."""
    for m in _BRACKETS.finditer(text):
        opening, content, closing = m.groups()
        if "],[" in content.replace(" ", ""):
            continue  # a nested list, as in code
        yield "" if _is_example(m) else _outer("[", opening, content) + content + _outer("]", closing, content)


def _is_example(m: re.Match[str]) -> bool:
    return _EXAMPLE_BEFORE.search(m.string[max(0, m.start() - 60) : m.start()]) is not None


def _outer(bracket: str, run: str, content: str) -> str:
    """The third bracket of a run belongs to an interval or a list ("[[[0, 1)]]", "[[[1, 2]]]")."""
    return bracket if len(run) == 3 and "," in content else ""


def _boxed(text: str) -> Iterator[str]:
    r"""Contents of balanced `\boxed{…}` in the order in which they open."""
    open_braces: list[int | None] = []
    found: list[tuple[int, int]] = []
    for m in _BRACES.finditer(text):
        token = m.group()
        if len(token) > 2:
            open_braces.append(m.end())
        elif token == "{":
            open_braces.append(None)
        elif token == "}" and open_braces:
            start = open_braces.pop()
            if start is not None and m.start() - start <= MAX_ANSWER_CHARS:
                found.append((start, m.start()))
    for start, end in sorted(found):
        yield text[start:end]


def _hashes(text: str, kind: AnswerKind, options: tuple[str, ...]) -> Iterator[str]:
    """What stands behind `####`, if it is an answer and not a Markdown heading."""
    end = len(text.rstrip())
    for m in deque(_HASHES.finditer(text), maxlen=_MAX_CUES):
        value = m.group(1).strip(" *#")
        last_line = m.end() >= end
        if kind == "number":
            bare = clean(value)
            real = leading_number(value) == bare or (last_line and bool(readings(value) or looks_like_math(bare)))
        elif kind == "choice":
            real = chosen(value, options) is not None
        else:
            real = last_line
        if real or is_placeholder(value):
            yield value


def _phrases(text: str, kind: AnswerKind, options: tuple[str, ...]) -> Iterator[str]:
    """What follows "the answer is" and its like, as far as it can be an answer of this kind."""
    if kind == "choice":
        yield from (m.group(1) for m in _IS_RIGHT.finditer(text))
    for m in deque(_PHRASE[kind].finditer(text), maxlen=_MAX_CUES):
        window = text[m.end() : m.end() + MAX_ANSWER_CHARS]
        end = _CLAUSE_END.search(window)
        clause = (window[: end.start()] if end else window).strip(" \t*_`,:")
        value = _readable(clause, kind, options)
        if value:
            yield value


def _readable(clause: str, kind: AnswerKind, options: tuple[str, ...]) -> str | None:
    """The part of a clause that is the answer; None when the clause holds none of this kind."""
    if kind == "text":
        return clause
    if kind == "choice":
        return clause if chosen(clause, options) else None
    if "=" in clause or looks_like_math(clean(clause)):
        return clause if readings(clause) or looks_like_math(clean(clause)) else None
    return leading_number(clause) or (clause if readings(clause) else None)


def _last_resort(text: str, kind: AnswerKind, options: tuple[str, ...]) -> Extraction:
    if kind == "number":
        number = last_number(text)
        return Extraction(number, "last-number") if number is not None else NOTHING
    sentence = last_sentence(text)
    if not sentence:
        return NOTHING
    if kind == "text":
        return Extraction(sentence, "whole")
    line = text.rstrip().rpartition("\n")[2].strip()
    for value in (line, sentence):
        if chosen(value, options):
            return Extraction(value, "letter")
    return NOTHING


def last_sentence(text: str) -> str:
    """The last sentence of the last line that is not empty; "" when it is too long to be an answer."""
    line = text.rstrip().rpartition("\n")[2].strip()
    if len(line) > 10 * MAX_ANSWER_CHARS:
        return ""
    sentence = [s for s in _SENTENCE_END.split(line) if words(s)][-1:]
    return sentence[0].strip() if sentence and len(sentence[0]) <= MAX_ANSWER_CHARS else ""


def is_one_sentence(text: str) -> bool:
    """Whether `text` as a whole is one sentence, short enough to be an answer."""
    text = _after_thinking(tidy(text)).strip()
    return bool(text) and last_sentence(text) == text
