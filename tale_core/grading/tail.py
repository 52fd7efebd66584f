r"""What stands behind an answer and is none: the next question, chatter, and words that take the answer back.

A completion model goes on with a question of its own, a chat model offers more help, a reasoning model corrects itself.
Every function is linear in the length of its text.
"""

from __future__ import annotations

import re

_NEXT_QUESTION = re.compile(
    r"^[ \t>*#_]{0,6}(?:(?:the )?(?:next |new |another |follow-up )?(?:question|problem|exercise|puzzle|example"
    r"|q|user|human"
    r"|instruction|input|prompt)[ \t*_]{0,3}(?P<nr>\d{1,3})?[ \t]?[:：.)]|(?:问题?|题目?|例题?"
    r"|用户)[ \t]?(?P<zh>\d{1,3})?[ \t]?[:：]"
    r"|\[INST\]|<\|(?:im_start|start_header_id|user)\|>)",
    re.IGNORECASE | re.MULTILINE,
)
_END_OF_TEXT = re.compile(
    r"<\|(?:im_end|endoftext|eot_id|end_of_text|eom_id)\|>|<｜end▁of▁sentence｜>|</s>|<eos>|<end_of_turn>"
    r"|<\|endofprompt\|>"
)
_OFFERS = re.compile(
    r"\b(?:let me know|feel free|i hope|hope (?:this|that|it)|would you like|do you (?:want|need|have)|(?:want"
    r"|need) me to"
    r"|if you(?:'d| have| need| want| would| are)|is there anything|(?:happy|glad|here) to (?:help|assist|explain)"
    r"|don't hesitate|shall i|any (?:other |more |further )?questions|good luck|have a (?:great|nice)|thank you"
    r"|you're welcome)\b"
    r"|^如果[你您]|希望|需要我|还有(?:什么|其他)|欢迎|请告诉我|祝[你您]|有帮助",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    r"[^\n.!?。！？]{0,2000}(?:(?:[.!?](?!\s|$)|[.](?=\d))[^\n.!?。！？]{0,2000}){0,50}[.!?。！？\n]*\s*"
)
_MOST_QUESTIONS = 3
_HEAD = 60_000
"""Characters from the start in which another question is looked for."""
_TAIL = 4000
"""Characters from the end in which chatter is looked for."""

_STARTS = r"(?:^|(?<=[.!?。！？\n*)\]}])\s{0,4}|(?<=\s))"
_WAIT = r"(?:(?:but |oh |no |hmm,? |um,? )?(?:wait|hold on|hmm|oops|no|oh no|actually|sorry)[,.!: -]{1,4})"
_TAKEN_BACK = re.compile(
    rf"{_STARTS}{_WAIT}?(?:i (?:made|see|found|notice|noticed) (?:an? |my |the )?(?:\w{{1,20}} )?(?:error"
    rf"|mistake|miscalculation|slip)"
    r"|i (?:was|am) (?:wrong|mistaken)|i (?:miscalculated|misread|misspoke|forgot|overlooked|miscounted)"
    r"|my (?:mistake|bad|error)"
    r"|(?:there (?:is|was|'s)|there's) an? (?:error|mistake)|scratch that|correction\b|let me (?:correct|fix|redo)\b"
    r"|i apologi[sz]e|my apologies|oops|on (?:second thought|reflection)"
    rf"|(?<=[,.!: -])(?:that|this|it)(?:'s| is| was| isn't| is not) (?:not (?:right|correct)|wrong|incorrect"
    rf"|a mistake|right$))"
    rf"|{_WAIT}(?:that|this|it)(?:'s| is| was) (?:not (?:right|correct)|wrong|incorrect)"
    r"|我(?:算|看|写|弄|数)错|算错了|(?:更正|纠正|抱歉|不对)[,，:。!]|刚才(?:的|那)",
    re.IGNORECASE,
)
_RECONSIDERED = re.compile(
    rf"{_STARTS}(?:but |oh,? |hmm,? )?(?:wait|hold on|hmm|actually|let me (?:re\w{{0,12}}|double|check|verify))\b"
    r"|等等|等一下|让我(?:再|重新|检查|验证)",
    re.IGNORECASE,
)


def before_end(text: str) -> str:
    """The text up to the first token that ends a model's turn, left in by a server."""
    m = _END_OF_TEXT.search(text)
    return text[: m.start()] if m and text[: m.start()].strip() else text


def next_questions(text: str) -> list[int]:
    """Where another question seems to begin, behind the start of the text; [] for questions in numbered steps."""
    marks = list(_NEXT_QUESTION.finditer(text, 0, _HEAD))
    if marks and not text[: marks[0].start()].strip():
        first, *marks = marks
        if first["nr"] or first["zh"]:
            return []
    return [m.start() for m in marks[:_MOST_QUESTIONS]]


def without_chatter(text: str) -> str:
    """The text without offers and questions at its end; the very text when nothing else would be left."""
    text = text.rstrip()
    head, tail = text[:-_TAIL], text[-_TAIL:]
    sentences = [m.group() for m in _SENTENCE.finditer(tail) if m.group()]
    while sentences and (_OFFERS.search(sentences[-1]) or sentences[-1].rstrip().endswith("?")):
        sentences.pop()
    kept = (head + "".join(sentences)).rstrip()
    return kept or text


def taken_back(tail: str) -> int | None:
    """Where words behind an answer take it back; None when they do not."""
    last = None
    for m in _TAKEN_BACK.finditer(tail):
        last = m.start()
    return last


def reconsidered(tail: str) -> int | None:
    """Where words behind an answer begin to check it; None when they do not."""
    m = _RECONSIDERED.search(tail)
    return m.start() if m else None
