"""Telling which option an answer means.

Never asked about questions that have no options.
"""

from __future__ import annotations

import re

from tale_core.grading.clean import clean
from tale_core.grading.numbers import readings, same_number
from tale_core.grading.text import words

_MAX_CHARS = 400
_DEFAULT_OPTIONS = 5
"""Letters allowed when the option texts are not known: A to E."""

_LEAD = re.compile(
    r"(?:(?:for sure|definitely|clearly|probably|most likely|likely|certainly|obviously|indeed|simply),?\s+)?"
    r"(?:(?:the )?(?:final |correct |right |best )?(?:answer|option|choice|letter)(?: is| are|:|=)?|"
    r"(?:正确|最终)?(?:答案|选项)[是为:]*|故选|应选|选择?)\s*[:=]?\s*(?:option |choice |选项)?",
    re.IGNORECASE,
)
_NOT = (
    r"(?:\b(?:not|never|neither|nor|rather than|instead of|rules? out|ruled out|eliminates?d?|excludes?d?"
    r"|except)\b|\b\w{2,6}n't"
    r"(?: be)?|不能?选择?|不会?是|并?非|排除|而不是|除了?)"
)
_A_LETTER = r"\(?\b[A-Z]\)?(?![\w'])"
_DENIED = re.compile(
    rf"[,;、]?\s*{_NOT}\s*(?:the )?(?:option |choice |answer |选项)?{_A_LETTER}"
    rf"(?:\s*(?:,|/|、|or|nor|and|和|或)\s*(?:option |choice )?{_A_LETTER})*[,;、.]?"
    r"|\(?\b[A-Z]\)?\s*(?:(?:is|are|seems|looks)\s*(?:not|n't|wrong|incorrect|false|too|out|impossible|unlikely)\b"
    r"|(?:is|are|does|do|ca|wo|could|would)n't\b|cannot\b|(?:can|do|does|could|would) not\b"
    r"|(?:fails?|contradicts?|violates?)\b|[-:]\s*(?:no|false|wrong|incorrect)\b|\s?[✗✘❌])[^,;.]{0,40}[,;.]?"
    r"|\(?\b[A-Z]\)?\s?(?:选项|项)?也?(?:不对|不正确|错误|错|不成立|不符合)[^,;。]{0,20}[,;。]?",
)
_IT_IS = re.compile(
    r"(?:so |but |therefore )?(?:it(?:'s| is| must be| should be)|but|rather|是|而是|应该是)\s*", re.IGNORECASE
)
_NAMED_IN_BRACKETS = re.compile(r"(?:\b(?:is|be|say|choose|pick)|:)\s*[*_]*\(([A-Z])\)|[^)]\s\(([A-Z])\)[\s.*]*$")
_FAULT = re.compile(r"\b(?:not|never|wrong|incorrect|false|except|worst|n't)\b|不|错", re.IGNORECASE)
_ITEM = re.compile(
    r"(?:^|[\n.;,，。；])[ \t*-]*\(?(?P<letter>[A-Z])\)?[*]*\s?[.):：-]\s*(?P<said>[^\n]{0,200}?)(?=$|\n|[.;](?:\s|$))"
)
_SAID_RIGHT = re.compile(r"(?:\b(?:yes|right|correct|true)|[✓✔✅]|正确|对)[\s.!*)]*$", re.IGNORECASE)
_SAID_WRONG = re.compile(r"(?:\b(?:no|wrong|incorrect|false)|[✗✘❌]|错误?|不对|不正确)[\s.!*)]*$", re.IGNORECASE)
_REASONS = r"because|since|as|which|where|given|due|with|and it|is (?:the )?(?:correct|right|best)|due to"


def last_letter(options: tuple[str, ...]) -> str:
    """The last letter that stands for an option."""
    return chr(ord("A") + min(len(options) or _DEFAULT_OPTIONS, 26) - 1)


def undenied(s: str) -> str:
    """The text without the letters that it denies ("选A，不选B", "not A but D"); the very text when none is left."""
    return _DENIED.sub(" ", s).strip()


def judged_right(text: str, options: tuple[str, ...]) -> str | None:
    """The letter that a list of judged options calls right, as in "A: no. B: yes." does.

    "" where it calls none or several right; None where the text is no such list.
    """
    if any(_SAID_RIGHT.search(option) or _SAID_WRONG.search(option) for option in options):
        return None  # Options that are "yes" and "no" judge nothing.
    said = {m["letter"]: m["said"] for m in _ITEM.finditer(text[-10 * _MAX_CHARS :])}
    wrong = [letter for letter, words_ in said.items() if _SAID_WRONG.search(words_)]
    right = [letter for letter, words_ in said.items() if letter not in wrong and _SAID_RIGHT.search(words_)]
    if len(right) + len(wrong) < 2:
        return None
    return right[0] if len(right) == 1 else ""


def chosen(answer: str, options: tuple[str, ...], *, leads: int = 2) -> str | None:
    """The letter or letters ("B", "AC") that an answer means, by letter or by option text; None when it means none.

    The letter decides when letter and text contradict each other ("A. 12" where 12 is option B). `leads` is how many
    phrases like "the answer is" may stand in front.
    """
    if len(answer) > _MAX_CHARS:
        return None
    s = clean(answer)
    s = clean(s[1:-1]) if s[:1] in "([{" and s[-1:] in ")]}" and ")" not in s[1:-1] else s
    if _DENIED.search(s):
        s = _IT_IS.sub("", clean(undenied(s)))
    lead = _LEAD.match(s)
    rest = clean(s[lead.end() :]) if lead else ""
    return (
        _letters(s, options)
        or _by_text(s, options)
        or _letter_first(s, options)
        or (chosen(rest, options, leads=leads - 1) if rest and leads else None)
        or _in_brackets(s, options)
    )


def _letters(s: str, options: tuple[str, ...]) -> str | None:
    z = last_letter(options)
    letter = f"[A-{z}]"
    several = re.fullmatch(rf"\(?{letter}\)?(?:\s*(?:[,/&、;]|and|or|和|或)?\s*\(?{letter}\)?){{1,5}}", s)
    if several:
        found = re.findall(letter, s)
        return "".join(sorted(set(found)))
    alone = re.fullmatch(rf"[(\[]?\s*([A-{z}a-{z.lower()}])\s*[)\].:、]?", s)
    if alone:
        return alone.group(1).upper()
    # "A. 12", "(B) Paris", "C because …". A bare "A" before a word may be the article, so it needs a reason behind it.
    m = re.match(
        rf"\(({letter})\)|\[({letter})\]|({letter})\s*[.):、,，]|({letter})\s+[-—]\s"
        rf"|({letter})(?=\s+(?:{_REASONS})\b|[㐀-鿿])",
        s,
    )
    if m:
        return next(g for g in m.groups() if g)
    m = re.match(rf"\(?([a-{z.lower()}])\)\s*\S", s)
    return m.group(1).upper() if m else None


def _letter_first(s: str, options: tuple[str, ...]) -> str | None:
    """A capital before other words ("B Paris"); an "A" or "I" before a small letter is a word of its own."""
    m = re.match(rf"([A-{last_letter(options)}])(?=\s+[^\W_])(?!\s+[A-Z]\b)(?!(?<=[AI])\s+[a-z])", s)
    return m.group(1) if m else None


def _in_brackets(s: str, options: tuple[str, ...]) -> str | None:
    """A letter in brackets that the answer leads to ("I think it is (B) London") or ends with ("London (B)")."""
    found = {m[1] or m[2] for m in _NAMED_IN_BRACKETS.finditer(s)}
    letter = found.pop() if len(found) == 1 else None
    return letter if letter and letter <= last_letter(options) and not _FAULT.search(s) else None


def _by_text(s: str, options: tuple[str, ...]) -> str | None:
    """The only option whose text the answer is, word for word or as a number."""
    said = words(s)
    same = [i for i, option in enumerate(options) if said and words(clean(option)) == said]
    if not same:
        value = readings(s)
        if len(value) == 1:
            known = [readings(option) for option in options]
            same = [i for i, k in enumerate(known) if len(k) == 1 and same_number(k[0], value[0])]
    return chr(ord("A") + same[0]) if len(same) == 1 else None
