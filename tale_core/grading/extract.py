r"""Finding the final answer in a model's text.

The known answer is not looked at, so what is found cannot depend on what is right. Everything that runs over the whole
text is linear in its length. Thoughts are taken out first (`tale_core.grading.thinking`), then what follows the end of
the turn or begins another question. Sources, first found wins, within a source the last one:

1. `<answer>…</answer>`, then `[[…]]`, the format our prompts ask for;
2. `\boxed{…}`; boxes side by side are one list;
3. GSM8K's `#### 18` on a line of its own, here the first: a completion model goes on with other questions;
4. a phrase: "the answer is 18", "**Final answer**: 18", `"answer": 18`, "答案是18", "故选B", "答：18元";
5. choices: a letter alone on the last or the first line, or the text of an option;
6. numbers: the last number or expression in the text, a last resort (`last`); free text: the last sentence.

A copied placeholder (`[[answer]]`, `[[选项]]`, `[[...]]`) and a copied example ("for example: Answer: [[50]]") are
passed over, and after one the last resort is not used: such an answer is unparsed, and not wrong. Where the text takes
its answer back ("Wait, I made an error. …") what follows decides; where it then names none, there is none.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import NamedTuple

from tale_core.grading.choice import chosen, judged_right
from tale_core.grading.clean import clean, looks_like_math
from tale_core.grading.last import last_quantity
from tale_core.grading.numbers import MAX_ANSWER_CHARS, OUT_OF, leading_number, readings, several_numbers, strict_number
from tale_core.grading.stated import CALLED_WRONG
from tale_core.grading.tail import before_end, next_questions, reconsidered, taken_back, without_chatter
from tale_core.grading.text import tidy, words
from tale_core.grading.thinking import split_thinking
from tale_core.grading.words import with_symbols
from tale_core.types import AnswerKind, Extraction, ExtractionMethod

MAX_TEXT = 24_000
"""Characters from the end of a text in which its answer is looked for, some 6,000 tokens; keeps the work bounded."""
_CALCULATOR = re.compile(r"<<[^<>\n]{0,400}(?:>>|$)")
"""GSM8K's calculator marks: `9 * 2 = <<9*2=18>>18`, the last perhaps cut."""
NOTHING = Extraction(None, "none")

_SLOTS = (
    r"(?:your |the |my )?(?:final |correct |numeric(?:al)? |short )?"
    r"(?:answer|choice|budget|number|option|letter|result|value|text|solution|response)s?(?: here| goes here|_here)?"
    r"|(?:你的|最终|正确|您的)?(?:答案|选项|预算|数字|结果|选择|字母)"
    r"|insert .{0,30}|n|#+|_+|-+|\?+|x{2,}|blank|placeholder"
)
_PLACEHOLDER = re.compile(_SLOTS, re.IGNORECASE)
_EXAMPLE_BEFORE = re.compile(r"(?:for example|for instance|e\.g\.|such as|例如|比如)[^\n\[\]]{0,30}$", re.IGNORECASE)
_TAGGED = re.compile(
    r"<(?P<tag>(?:final[_ -]?)?answer|ans)>\s*(?P<value>(?:[^<]|<(?!/?(?P=tag)>)){1,2000}?)\s*(?:</(?P=tag)>|\Z)",
    re.IGNORECASE,
)
# One "[" or "]" inside is part of the answer (an interval); a run of brackets starts one try only.
_BRACKETS = re.compile(rf"(?<!\[)(\[{{2,}}+)((?:[^\[\]]|\[(?!\[)|\](?!\])){{1,{MAX_ANSWER_CHARS}}})(\]{{2,}}+)")
_BRACES = re.compile(r"\\(?:boxed|fbox) ?\{|\\[{}]|[{}]")
_BETWEEN_BOXES = re.compile(
    r"(?:[ \t$.,;]|\n(?!\s*\n)|\\(?:q?quad|[,;:! ()\[\]])|\\text ?\{[ ,]*(?:and|or)?[ ,]*\}|\band\b|\bor\b|[和或、]"
    r"|\\?[a-zA-Z](?:_\{?\w\}?)?\s*=)*"
)
_HASHES = re.compile(rf"^[ \t*]*#{{4}}(?!#)[ \t]*(\S[^\n]{{0,{MAX_ANSWER_CHARS}}})$", re.MULTILINE)
_JSON = re.compile(
    r"[\"'](?:final_?|correct_?|my_?)?(?:answer|choice|option|result|letter|答案|选项|结果)[\"']\s*:\s*"
    rf"(?:\"((?:[^\"\\\n]|\\.){{1,{MAX_ANSWER_CHARS}}})\"|'([^'\n]{{1,{MAX_ANSWER_CHARS}}})'"
    rf"|(-?\d[\d.,eE+/-]{{0,40}}|true|false)(?=[\s,}}\]]|$))",
    re.IGNORECASE,
)

_M = r"[\s*_`]"
_IS = rf"{_M}{{0,6}}(?:\b(?:is|are|equals|(?:would|should|must|will) be)\b(?:{_M}{{0,3}}:)?|[:=]){_M}{{0,6}}"
_ZH_IS = r"(?<!不)(?<!不会)(?<!不可能)(?:应该是|应为|是|为|等于|[:=])[\s*_`:]{0,6}"
_ANSWER = (
    rf"(?<!\bto )\banswers?\b(?:\]\])?[^\n.:=\d\[\]]{{0,60}}?{_IS}"
    r"|^[ \t#*_]*(?:the )?(?:final )?answer[ \t*_]*\n\s{0,6}"
    r"|(?:정답|답|回答|答え|解答|antwort|respuesta|réponse|resposta|risposta|ответ)(?:은|는|は)?[ *_]{0,3}"
    r"(?:[:=]|\b(?:ist"
    r"|es|est|é|è)\b)"
    rf"{_M}{{0,6}}"
    rf"|(?:答案|结果)(?:\]\])?[^\n。:,\d\[\]]{{0,12}}?{_ZH_IS}"
)
_ZH_REPLY = r"(?<![一-鿿])答[ *_]{0,3}:[\s*_`]{0,6}"
_CHOOSE = (
    rf"\b(?:option|choice)\b{_IS}|(?<!not )(?<!n't )(?<!never )\b(?:choose|select|pick)\s{{1,3}}(?:option )?"
    rf"|(?<![不非])选择?(?!项)[\s*_`:]{{0,6}}|选项(?:\]\])?{_ZH_IS}"
)
_PHRASE: dict[AnswerKind, re.Pattern[str]] = {
    "number": re.compile(f"{_ANSWER}|{_ZH_REPLY}", re.IGNORECASE | re.MULTILINE),
    "text": re.compile(f"{_ANSWER}|{_ZH_REPLY}", re.IGNORECASE | re.MULTILINE),
    "choice": re.compile(f"{_ANSWER}|{_CHOOSE}", re.IGNORECASE | re.MULTILINE),
}
_MAX_CUES = 20
"""An answer announced more often than this is no announcement; keeps the work per text bounded."""
# An exclamation mark behind a digit may be a factorial's: then the clause goes on ("5! = 120").
_CLAUSE_END = re.compile(
    r"\n|[。！；]|[.?;](?=\s|$|\*)|(?<![\d)])!(?=\s|$|\*)|!(?=\s*$|\s+[A-Z㐀-鿿]|\*)|,?\s+(?:because|since)\b|<"
    r"|\s(?:Explanation|Reason)\b"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
_LETTER_IS_RIGHT = re.compile(
    r"(?i:\b(?:go(?:ing)? with|went with|settle on|opt for|i(?:'d| would)? say"
    r"|(?:i think|i believe)(?: it(?:'s| is))?|my (?:guess|pick|choice) is|therefore|thus|hence|so|it(?:'s| is| must be"
    r"| has to be|'d be)"
    r"|answer\s?[-—]))\s*[:,]?\s*(?:option |answer |choice )?[*_]{0,2}\(?([A-Z])\)?(?=[.,;:!*]|\s*$|\s+(?:here"
    r"|because|since)\b)"
    r"|(?<![\w'])\(?([A-Z])\)?[\s*_]{0,4}(?:is|must be|should be|would be|seems)[\s*_]{1,4}(?:the |most "
    r"|clearly |therefore )*(?:correct|right|best)\b"
    r"|(?<![A-Za-z])([A-Z])\s?(?:选项|项)?(?:是|为)?(?:正确|对)的?(?!吗)"
)
_IS_BUT_DENIED = re.compile(
    r"(?:is |are )?\bnot\s+\$?-?[\d.,]*\d[^,;.]{0,20}[,;]?\s*(?:but|rather|it(?:'s| is)(?: actually)?|(?:不)?是)?\s*"
)
_OPTION_LINE = re.compile(r"\s*\(?[B-Z][.):]\s")
_CONFIRMED = re.compile(
    r"\b(?:correct|right|checks? out|confirm(?:s|ed)|consistent|matches)\b|正确|无误|没错", re.IGNORECASE
)


_LETTER_ALONE = re.compile(r"[\s*_]*\(?[A-Z]\)?[\s.*_]*")
_OTHER_ALONE = re.compile(
    r"\s*(?:(?:but|oh|no|hmm|sorry)[,.!]?\s+)*(?:wait|hold on|actually|hmm)[,.!: -]{1,4}"
    r"(?:no[,.]?\s+)?(?:it(?:'s| is)\s+)?"
    r"[*_]*\(?([A-Z](?![a-zA-Z])|[$€£¥-]?\d[\d.,]*)\)?[\s.!*_]*",
    re.IGNORECASE,
)
"""Another answer and nothing else: "Wait, B." """


_SUPPOSED = re.compile(
    r"(?:\b(?:if|whether|suppose|assum(?:e|ing)|doubt"
    r"|(?:might|may|could|would|people|some) (?:think|say|guess|believe|answer))|(?:\bnot|n't) (?:think|say|believe))"
    r"(?: that)?\s+(?:the |my |your |an? )?(?:\w{1,12} )?$"
    r"|(?:如果|假设|假如)[^。，,]{0,6}$",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"\b(?:if|unless|without|but for)\b", re.IGNORECASE)
_CORRECTED = re.compile(
    r"^[^,]{1,80},\s*(?:so|thus|therefore|i\.e\.,?|which (?:is|equals|rounds (?:up |down )?to)"
    r"|rounded(?: up| down)?(?: to)?)\s+(?:about |approximately |exactly )?(?=[-$]?\d)",
    re.IGNORECASE,
)
"""A first value of a clause that goes on to its final one: "48.3, so 48"."""


class _Found(NamedTuple):
    """An answer, where it ends in the text, and whether it was called the final one."""

    value: str
    end: int
    final: bool = False


def extract(text: str, kind: AnswerKind, options: tuple[str, ...] = ()) -> Extraction:
    """The final answer in a model's text. Never raises; linear in the length of `text`.

    Args:
        text: What the model wrote, whole or cut.
        kind: How the answer will be compared.
        options: Option texts, for choices.

    Returns:
        The answer as written (full-width forms folded) and how it was found; value None and method "none" when there
        is nothing, or only a copied placeholder. The top of this module has the rules.
    """
    text = before_end(split_thinking(text).answer)
    if kind == "number":
        text = _CALCULATOR.sub("", text)
    for start in next_questions(text):
        before = tidy(text[max(0, start - MAX_TEXT) : start])
        if _announced(before, kind, options)[0] or is_one_sentence(before):
            return _extract(before, kind, options)
    return _extract(tidy(text[-MAX_TEXT:]), kind, options)


def _extract(text: str, kind: AnswerKind, options: tuple[str, ...]) -> Extraction:
    found, method = _announced(text, kind, options)
    if found is None:
        return NOTHING if method == "brackets" else _last_resort(text, kind, options)
    extraction = Extraction(found.value, method)
    tail = text[found.end :]
    if (start := taken_back(tail)) is not None:
        return _extract(tail[start:], kind, options)
    if (start := reconsidered(tail)) is not None:
        return _after_check(extraction, _extract(tail[start:], kind, options), tail[start:], kind)
    return extraction


def _after_check(before: Extraction, after: Extraction, tail: str, kind: AnswerKind) -> Extraction:
    """The answer where the text checks it: a new one if it is announced, none if another number merely stands there."""
    if (other := _OTHER_ALONE.fullmatch(tail)) and (kind == "choice" or strict_number(other[1])):
        return Extraction(other[1], "letter" if kind == "choice" else "last-number")
    if after.value is None or after.method == "whole":
        return before
    if not after.last_resort and after.method != "letter":
        return after
    same = clean(after.value) == clean(before.value or "") or _CONFIRMED.search(tail)
    return before if same else NOTHING


def _announced(text: str, kind: AnswerKind, options: tuple[str, ...]) -> tuple[_Found | None, ExtractionMethod]:
    """The answer that a text announces and how; None and "brackets" when it merely copied the format."""
    if (found := _last_real(_tagged(text))) is not None:
        inner = _extract(found.value, kind, options) if len(found.value) < len(text) else NOTHING
        announced = inner.value is not None and inner.method not in ("whole", "last-number", "expression")
        return _Found(inner.value if announced and inner.value else found.value, found.end), "tag"
    brackets = list(_brackets(text))
    if (found := _last_real(brackets)) is not None:
        return found, "brackets"
    if (box := _last_boxes(text)) is not None:
        # Where the text goes on to a "final answer", that one counts.
        later = takewhile(lambda f: f.end > box.end, _real(_phrases(text, kind, options)))
        final = next((f for f in later if f.final), None)
        return (final, "phrase") if final else (box, "boxed")
    if (found := _first_hashes(text, kind, options)) is not None:
        return found, "hashes"
    text = _BRACKETS.sub(lambda m: " " * len(m.group()) if _is_example(m) else m.group(), text)
    for source in (_json, _phrases):
        if (found := next(_real(source(text, kind, options)), None)) is not None:
            return found, "phrase"
    return None, "brackets" if brackets else "none"


def is_placeholder(value: str) -> bool:
    """Whether a value is the slot of a format instruction, copied, and not an answer."""
    bare = re.sub(r"[<>{}()\[\]*`\"']", "", value.replace("_", " ")).strip(" .。:：…\t\n")
    return not bare or bool(_PLACEHOLDER.fullmatch(bare))


def _real(found: Iterable[_Found]) -> Iterator[_Found]:
    return (f._replace(value=f.value.strip()) for f in found if not is_placeholder(f.value))


def _last_real(found: Iterable[_Found]) -> _Found | None:
    return next(iter(deque(_real(found), maxlen=1)), None)


def _tagged(text: str) -> Iterator[_Found]:
    """Contents of `<answer>…</answer>`; the closing tag may be missing at the end."""
    for m in _TAGGED.finditer(text):
        yield _Found(m["value"], m.end())


def _brackets(text: str) -> Iterator[_Found]:
    """Contents of `[[…]]` in order; "" stands for one that is quoted as an example."""
    for m in _BRACKETS.finditer(text):
        opening, content, closing = m.groups()
        if "],[" in content.replace(" ", ""):
            continue  # a nested list, as in code
        value = "" if _is_example(m) else _outer("[", opening, content) + content + _outer("]", closing, content)
        yield _Found(value, m.end())


def _is_example(m: re.Match[str]) -> bool:
    return _EXAMPLE_BEFORE.search(m.string[max(0, m.start() - 60) : m.start()]) is not None


def _outer(bracket: str, run: str, content: str) -> str:
    """The third bracket of a run belongs to an interval or a list ("[[[0, 1)]]", "[[[1, 2]]]")."""
    return bracket if len(run) == 3 and "," in content else ""


def _last_boxes(text: str) -> _Found | None:
    """The last box, or the last boxes side by side as one list."""
    boxes = [(start, end, begin) for start, end, begin in _boxed(text) if not is_placeholder(text[start:end])]
    if not boxes:
        return None
    listed = [boxes[-1]]
    for box in reversed(boxes[-10:-1]):
        between = text[box[1] + 1 : listed[0][2]]
        if box[1] >= listed[0][2] or len(between) > 40 or not _BETWEEN_BOXES.fullmatch(between):
            break
        listed.insert(0, box)
    values = dict.fromkeys(text[start:end].strip() for start, end, _ in listed)
    return _Found(", ".join(values), listed[-1][1] + 1)


def boxed_answer(text: str) -> str | None:
    r"""What the last `\boxed{…}` of a worked solution holds; None without one."""
    found = _last_boxes(text)
    return found.value if found else None


def _boxed(text: str) -> list[tuple[int, int, int]]:
    r"""Contents of balanced `\boxed{…}` (start, end, where the command begins) in the order in which they open."""
    open_braces: list[tuple[int, int] | None] = []
    found: list[tuple[int, int, int]] = []
    for m in _BRACES.finditer(text):
        token = m.group()
        if len(token) > 2:
            open_braces.append((m.end(), m.start()))
        elif token == "{":
            open_braces.append(None)
        elif token == "}" and open_braces:
            opened = open_braces.pop()
            if opened is not None and m.start() - opened[0] <= MAX_ANSWER_CHARS:
                found.append((opened[0], m.start(), opened[1]))
    return sorted(found)


def _first_hashes(text: str, kind: AnswerKind, options: tuple[str, ...]) -> _Found | None:
    """The first `####`, or the last of several without a word between them."""
    first = None
    for found in _real(_hashes(text, kind, options)):
        if first is not None and text[first.end : found.end].count("\n") > 1:
            break
        first = found
    return first


def _hashes(text: str, kind: AnswerKind, options: tuple[str, ...]) -> Iterator[_Found]:
    """What stands behind `####`, if it is an answer and not a Markdown heading."""
    end = len(text.rstrip())
    for _, m in zip(range(_MAX_CUES), _HASHES.finditer(text), strict=False):
        value = m.group(1).strip(" *#")
        last_line = m.end() >= end
        if kind == "number":
            bare = clean(value)
            alone = leading_number(value) == bare or strict_number(value) is not None
            real = alone or (last_line and bool(readings(value) or looks_like_math(bare)))
        elif kind == "choice":
            real = chosen(value, options) is not None
        else:
            real = last_line
        if real or is_placeholder(value):
            yield _Found(value, m.end())


def _json(text: str, kind: AnswerKind, options: tuple[str, ...]) -> Iterator[_Found]:
    """The value of an "answer" in JSON, whole or cut; the last first."""
    for m in reversed(deque(_JSON.finditer(text), maxlen=_MAX_CUES)):
        value = next(g for g in m.groups() if g is not None)
        if kind == "text" or _readable(value, kind, options):
            yield _Found(value, m.end())


def _phrases(text: str, kind: AnswerKind, options: tuple[str, ...]) -> Iterator[_Found]:
    """What follows "the answer is" and its like, as far as it can be an answer of this kind; the last first."""
    cues = deque(_PHRASE[kind].finditer(text), maxlen=_MAX_CUES)
    letters = deque(_LETTER_IS_RIGHT.finditer(text) if kind == "choice" else (), maxlen=_MAX_CUES)
    for m in sorted((*cues, *letters), key=lambda m: m.end(), reverse=True):
        if m.re is _LETTER_IS_RIGHT and not _SUPPOSED.search(text, max(0, m.start() - 40), m.start()):
            yield _Found(next(filter(None, m.groups())), m.end())
        elif m.re is not _LETTER_IS_RIGHT and (found := _announcement(text, m, kind, options)):
            yield found


def _announcement(text: str, m: re.Match[str], kind: AnswerKind, options: tuple[str, ...]) -> _Found | None:
    """The answer behind one cue, if the clause that follows it holds one."""
    if _SUPPOSED.search(text, max(0, m.start() - 40), m.start()):
        return None
    window = text[m.end() : m.end() + MAX_ANSWER_CHARS]
    if "\n" in m.group()[-7:]:
        window = re.sub(r"^[-•] ", "  ", window)  # a list's mark is no minus
    end = _CLAUSE_END.search(window)
    clause = (window[: end.start()] if end else window).strip(" \t*_`,:")
    if "would" in m.group() and _CONDITION.search(clause):
        return None
    value = _readable(clause, kind, options)
    before = text[max(0, m.start() - 8) : m.end()].lower()
    place = m.end() + (end.start() if end else len(window))
    return _Found(value, place, "final" in before or "最终" in before) if value else None


def _readable(clause: str, kind: AnswerKind, options: tuple[str, ...]) -> str | None:
    """The part of a clause that is the answer; None when the clause holds none of this kind."""
    if kind == "text":
        return clause
    if kind == "choice":
        return clause if chosen(clause, options) else None
    number = re.search(r"\d[\d.,]*", clause)
    if number and CALLED_WRONG.match(clause, number.end()):
        return None
    clause = _CORRECTED.sub("", clause)
    kept = _IS_BUT_DENIED.sub("", clause, count=1).strip()
    clause = kept if re.search(r"\d", kept) else clause
    bare = clean(clause)
    if (in_symbols := with_symbols(bare)) != bare and looks_like_math(in_symbols):
        return clause
    if "=" in clause or looks_like_math(bare):
        return clause if readings(clause) or looks_like_math(bare) else None
    if several_numbers(bare):
        return clause
    if share := OUT_OF.match(bare):
        return share.group()
    return leading_number(clause) or (clause if readings(clause) else None)


def _last_resort(text: str, kind: AnswerKind, options: tuple[str, ...]) -> Extraction:
    text = without_chatter(text)
    if kind == "number":
        value, method = last_quantity(text)
        return Extraction(value, method) if value is not None else NOTHING
    sentence = last_sentence(text)
    if not sentence:
        return NOTHING
    if kind == "text":
        return Extraction(sentence, "whole")
    lines = text.strip().splitlines()
    judged = None if _LETTER_ALONE.fullmatch(lines[-1]) else judged_right(text, options)
    if judged is not None:
        return Extraction(judged, "letter") if judged else NOTHING
    # A first line decides where it is no part of the options, written down again.
    first = "" if any(_OPTION_LINE.match(line) for line in lines[1:30]) else lines[0].strip()
    for value in (lines[-1].strip(), sentence, first):
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
    text = tidy(split_thinking(text).answer).strip()
    return bool(text) and last_sentence(text) == text
