r"""Where a model's thinking ends and its answer begins, in text that holds both.

Models mark their thoughts in the text itself when no server has taken them out: `<think>…</think>` and its relatives,
`[THINK]…[/THINK]` (Mistral), `◁think▷` (Kimi), `<|channel|>analysis<|message|>…` (gpt-oss), `<|begin_of_thought|>` and
its relatives, `<|channel>thought … <channel|>` (Gemma), `<details type="reasoning">` (Open WebUI). A template may have
written the opening mark itself, so that the text begins inside of a thought. A mark that is quoted (`` `<think>` ``) is
talked about, not used.

Linear in the length of the text; never raises.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = (
    r"(?:[a-z0-9]{1,20}[:_])?(?:(?:re)?think(?:ing)?|thoughts?|reasoning|reason|reflection|scratchpad|analysis|cot"
    r"|internal|inner_monologue)(?:_[a-z]{1,12})?"
)
_THOUGHT = r"(?:think(?:ing)?|thought|reasoning)"
# The first character stands apart, so that the search jumps from one to the next.
_MARK = re.compile(
    rf"[<\[◁](?:(?<=<)\s?(?P<close>/?)\s?(?P<tag>{_NAME})(?:\s[^<>\n]{{0,80}})?>"
    r"|(?<=\[)(?P<sq>/?)think(?:ing)?\]"
    r"|(?<=◁)(?P<kimi>/?)think▷"
    rf"|(?<=<)[|｜](?:(?P<opens>(?:begin|start)[_▁](?:of[_▁])?{_THOUGHT}|{_THOUGHT}[_▁](?:start|begin)|{_THOUGHT}"
    rf"|inner_prefix)|(?P<closes>(?:end|stop)[_▁](?:of[_▁])?{_THOUGHT}|{_THOUGHT}[_▁](?:end|stop)|/{_THOUGHT}"
    r"|inner_suffix)|(?P<word>(?:begin|end)_of_solution|(?:start|end)_response))[|｜]>"
    r"|(?<=<)\|channel\|>(?P<channel>[a-z_]{1,20})[^<>\n]{0,80}(?:<\|[a-z_]{1,20}\|>[^<>\n]{0,80}){0,3}?<\|message\|>"
    r"|(?<=<)\|(?P<turn>end|return|call)\|>|(?<=<)\|start\|>(?:[a-z_]{1,20})?"
    r"|(?<=<)\|channel>(?P<gemma>[a-z_]{1,20})\n?|(?P<gemma_end>(?<=<)channel\|>))",
    re.IGNORECASE,
)
_STRIPPED = re.compile(r"\s*analysis(?=[^a-z\s:,])(?P<thought>.*?)assistant\s{0,3}final", re.DOTALL)
"""gpt-oss's channels after a server has taken the special tokens out: `analysis…assistantfinal…`."""
_GRANITE = re.compile(
    r"\s*Here(?: is|'s) my (?:thought|reasoning) process:(?P<thought>.*?)Here(?: is|'s) my response:", re.DOTALL
)
_OPEN_WEBUI = re.compile(
    r"\s*<details type=[\"']reasoning[\"'][^<>]{0,200}>(?P<thought>.*?)(?:</details>|\Z)", re.DOTALL
)
_MAY_BEGIN = re.compile(r"[<\[◁]")
_BEGUN = re.compile(
    rf"<\|channel\|?>(?:(?!<\|message\|>)[^\n]){{0,200}}$|</?{_NAME}\s[^<>\n]{{0,80}}$"
    r"|<[/|｜]?\s?/?\s?[a-z0-9:_▁|｜]{0,40}$|\[/?[a-z]{0,8}$|◁/?[a-z]{0,5}$",
    re.IGNORECASE,
)
"""Text at the end that may be the beginning of a mark."""
_QUOTES = "`'\"“‘«"


class Parts(NamedTuple):
    """A text taken apart.

    Attributes:
        thought: The thinking, without its marks; "" where there is none.
        answer: What is not thinking, without marks; the very text where it holds no mark at all.
        open: The text ended inside of a thought: whatever stands in it is no answer.
    """

    thought: str
    answer: str
    open: bool = False


def split_thinking(text: str) -> Parts:
    """Take thoughts, closed or not, out of a text.

    A closing mark without an opening one makes everything before it a thought: the prompt's template had opened it.
    """
    for form in (_GRANITE, _STRIPPED, _OPEN_WEBUI):
        if m := form.match(text):
            return Parts(m["thought"].strip(), text[m.end() :].strip())
    thought: list[str] = []
    answer: list[str] = []
    inside = False
    seen = False
    at = 0
    for m in _MARK.finditer(text):
        if _quoted(text, m):
            continue
        inside_before, inside = inside, _after(m, inside)
        piece = text[at : m.start()]
        closes_nothing = not inside_before and _closes(m)
        if closes_nothing:
            # The template had opened it; what looked like an answer was the thought.
            thought += [*answer, piece]
            answer.clear()
        else:
            (thought if inside_before else answer).append(piece)
        at, seen = m.end(), True
    if not seen:
        return Parts("", text)
    (thought if inside else answer).append(text[at:])
    return Parts(_joined(thought), _joined(answer), inside)


class ThinkingStream:
    """Tells thinking from answer while a text grows, by the marks that have been seen so far.

    A thought that a template had opened shows only when its closing mark comes: until then it passes for the answer,
    and `split_thinking` of the whole text has the last word.
    """

    def __init__(self) -> None:
        self._waiting = ""
        self._before = ""
        self._inside = False

    def feed(self, piece: str) -> Parts:
        """Take new text; what can be told of it by now. The beginning of a mark waits for its rest."""
        if not self._waiting and not _MAY_BEGIN.search(piece):
            self._before = piece[-1:] or self._before
            return self._parts(piece)
        return self._cut(self._waiting + piece, final=False)

    def rest(self) -> Parts:
        """Nothing more comes: what had to wait."""
        return self._cut(self._waiting, final=True)

    def _parts(self, text: str) -> Parts:
        return Parts(text, "", self._inside) if self._inside else Parts("", text)

    def _cut(self, text: str, *, final: bool) -> Parts:
        thought: list[str] = []
        answer: list[str] = []
        at, end = 0, len(text)
        for m in _MARK.finditer(text):
            if m.end() == len(text) and not final:  # It may go on.
                end = m.start()
                break
            quoted = _quoted(self._before + text, m, shift=len(self._before))
            (thought if self._inside else answer).append(text[at : m.end() if quoted else m.start()])
            self._inside = self._inside if quoted else _after(m, self._inside)
            at = m.end()
        if not final and end == len(text) and (waits := _BEGUN.search(text, at)):
            end = waits.start()
        (thought if self._inside else answer).append(text[at:end])
        self._before = text[end - 1 : end] or self._before
        self._waiting = text[end:]
        return Parts("".join(thought), "".join(answer), self._inside)


def _joined(pieces: list[str]) -> str:
    return "\n".join(stripped for piece in pieces if (stripped := piece.strip()))


def _quoted(text: str, m: re.Match[str], *, shift: int = 0) -> bool:
    """Whether a mark stands in quotes, as in a sentence about it; `text` has so many letters before the match's own."""
    start, end = m.start() + shift, m.end() + shift
    return start > 0 and text[start - 1] in _QUOTES and end < len(text) and text[end] in _QUOTES + "”’»"


def _closes(m: re.Match[str]) -> bool:
    return m["close"] == "/" or m["sq"] == "/" or m["kimi"] == "/" or bool(m["closes"]) or bool(m["gemma_end"])


def _after(m: re.Match[str], inside: bool) -> bool:
    """Whether the text behind a mark is a thought."""
    if m["tag"] or m["sq"] is not None or m["kimi"] is not None:
        return not _closes(m)
    if m["opens"] or m["closes"] or m["word"]:
        return bool(m["opens"])
    if channel := m["channel"] or m["gemma"]:
        return channel.lower() not in ("final", "response", "answer")
    if m["gemma_end"]:
        return False
    # gpt-oss ends a message and names the next one's channel; until then nothing is an answer.
    return inside
