r"""Stripping the markup around an answer, and telling mathematics from words.

`clean` is linear in its input.
"""

from __future__ import annotations

import re

from tale_core.grading.text import tidy

_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textnormal|textrm|textsf|texttt|mathrm|mathbf|mathit|mathsf|mbox"
    r"|operatorname) ?\{([^{}]*(?:\{[^{}]*\}[^{}]*)?)\}"
)
_REPLACED = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        (r"\\[dtc]frac\b", r"\\frac"),
        # LaTeX's thin spaces between thousands: 2,\! 450 and 10{\,}000 and 10\ 000
        (r"\{,\}|(?<=\d)(?:,\\! ?|\{\\[,;: ]\}|\\[,;:! ]|~|\{ \})(?=\d{3}(?!\d))", ","),
        (r"\\(?:left|right|displaystyle|big|Big|bigg|Bigg)(?![a-zA-Z])|\\q?quad|(?<!\\)\\[,;: ]|~", " "),
        (r"\\!", ""),
        (r"\\%", "%"),
        (r"\^ ?(?:\\circ(?![a-zA-Z])|\{ ?\\circ ?\})|\\degree(?![a-zA-Z])", "°"),
        (r"\\[()\[\]]|`", " "),
        (r"\\?\$|[€£¥₹]", ""),
        (r"(?<=[0-9A-Za-z)])\*\*(?=[\d(])", "^"),  # Python's power; other double stars are Markdown
        (r"\*\*|(?<!\w)__|__(?!\w)", ""),
        (r"[ \t]{2,}", " "),
    )
)
_ZH_FRACTION = re.compile(r"(?<![\d.百])(?P<below>(?!100 ?分)\d{1,9}) ?分之 ?(?P<above>\d{1,9})(?![\d.])")
_ZH_PLACES = re.compile(r"(?<![\d.])(?:\d{1,4}[亿万千百十]){2,6}(?<!千(?=[克米瓦卡帕焦赫伏牛]))(?![\d.%])")
"""Digits between Chinese places: 2万5千 is 25000."""
_LEFT_EDGE = " \t\n\"'“”‘’「」《》,;:!?。、"
_RIGHT_EDGE = _LEFT_EDGE + "."
_FACTORIAL = re.compile(r"(?:\d|[)}]|(?<![a-zA-Z])[a-z])!$")
_SPACED_SIGN = re.compile(r"(?:^|(?<=[=(,{\[&]))\s?-\s+(?=[\d.\\a-zA-Z(])")
_WORDED_SIGN = re.compile(r"(?:^|(?<=[\s=(,{\[]))(?:(?:negative|minus)\s+|(?:负|零下)\s?)(?=[\d.\\])", re.IGNORECASE)
_BOX = re.compile(r"\\(?:boxed|fbox) ?\{")

_MAX_CHARS = 400
_DATE = re.compile(r"\d{1,4}([-/])\d{1,2}\1\d{1,4}")
_ENVIRONMENT = re.compile(r"\\(?:begin|end) ?\{[a-zA-Z]{1,20}\*?\}(?:\{[clr|]{1,20}\})?")
_FUNCTIONS = "arcsin|arccos|arctan|sqrt|sin|cos|tan|cot|sec|csc|log|ln|exp"
_NAMES = re.compile(rf"\\[a-zA-Z]+|(?<![a-zA-Z])(?:{_FUNCTIONS}|pi|inf|infty|infinity|and|or)(?![a-zA-Z])")
_PRODUCT = re.compile(r"(?<=[\d)^*+/=-])[abcnxyz]{2,3}(?![a-zA-Z])")
_SIGN = re.compile(
    rf"(?<![a-zA-Z])(?:{_FUNCTIONS})(?![a-zA-Z])\s?[\d(\\]|"
    r"[-+]\s?\(\s?[-+\d]|[±]|[\d)}]!|[\w)}]\s*(?:!=|<|>)\s*[\w(\\-]|\\[a-zA-Z{]|[\^√π∞≤≥<>∪∩×÷]|[\w)}\]]\s*[-+*/=]\s*[\w({\\]|,"
    r"|\d[a-z]|\d [a-z](?![a-zA-Z])|(?<![a-zA-Z])(?:sqrt|pi|inf(?:ty|inity)?)(?![a-zA-Z])"
    r"|\d\s{1,3}(?:or|and)\s{1,3}[-\d]"
)
_TYPED = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        (r"√ ?\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"√ ?(\w+)", r"\\sqrt{\1}"),
        (r"(?<![\\a-zA-Z])sqrt ?\(([^()]*)\)", r"\\sqrt{\1}"),
        (rf"(?<![\\a-zA-Z])({_FUNCTIONS}|pi)(?![a-zA-Z])", r"\\\1 "),
        (r"π", r"\\pi "),
        (r"±|\+/-", r"\\pm "),
        (r"∞|(?<![\\a-zA-Z])inf(?:ty|inity)?(?![a-zA-Z])", r"\\infty "),
        (r"(?<=[\w)}])\s?\*\s?(?=[\w({\\])", r"\\cdot "),
        (r"×", r"\\times "),
        (r"÷", r"\\div "),
        (r"!=|≠", r"\\ne "),
        (r"≤|<=", r"\\le "),
        (r"≥|>=", r"\\ge "),
        (r"∪", r"\\cup "),
        (r"∩", r"\\cap "),
        (r"\^ ?\(([^()]*)\)", r"^{\1}"),
        (r"\^ ?(-?\d+)", r"^{\1}"),  # LaTeX takes one digit, people mean all of them
        (r"(?<![a-zA-Z])(?:and|or)(?![a-zA-Z])", ","),
    )
)


def clean(text: str) -> str:
    """The answer without Markdown, LaTeX wrappers, currency signs and punctuation at its ends."""
    return strip_markup(tidy(text))


def strip_markup(text: str) -> str:
    """`clean` for text that is tidy already."""
    s = _WRAPPED.sub(r" \1 ", text)
    for pattern, by in _REPLACED:
        s = pattern.sub(by, s)
    s = _stripped(_ZH_PLACES.sub(_in_digits, _ZH_FRACTION.sub(r"\g<above>/\g<below>", s)))
    box = _BOX.match(s)
    if box and s.endswith("}"):
        s = s[box.end() : -1].strip()
    if s.startswith("<") and s.endswith(">"):
        s = s[1:-1].strip()
    if s.startswith("[[") and s.endswith("]]"):
        s = s[2:-2].strip()
    return s


def _in_digits(m: re.Match[str]) -> str:
    total = section = 0
    for digits, place in re.findall(r"(\d+)([亿万千百十])", m.group()):
        if place in "亿万":
            total, section = total + (section + int(digits)) * (10**4 if place == "万" else 10**8), 0
        else:
            section += int(digits) * {"千": 1000, "百": 100, "十": 10}[place]
    return str(total + section)


def _stripped(s: str) -> str:
    """Without punctuation at the ends, but for a factorial's mark; a minus before a space is a sign."""
    s = s.lstrip(_LEFT_EDGE)
    marks = s.rstrip(_RIGHT_EDGE.replace("!", ""))
    s = marks if _FACTORIAL.search(marks) else s.rstrip(_RIGHT_EDGE)
    return _SPACED_SIGN.sub("-", _WORDED_SIGN.sub("-", s))


def looks_like_math(s: str) -> bool:
    """Whether a cleaned answer reads as an expression, interval, set or equation rather than as words.

    Single letters, function names and LaTeX commands are allowed; a colon (times, ratios) and other words are not.
    """
    if not s or len(s) > _MAX_CHARS or ":" in s or _DATE.fullmatch(s) or not _SIGN.search(s):
        return False
    bare = _PRODUCT.sub("x", _NAMES.sub(" ", _ENVIRONMENT.sub(" ", s)))
    if re.search(r"[^\W\d_]{2}|[㐀-鿿]", bare.replace("π", " ")):
        return False
    return bool(re.search(r"[\d\\π∞√]|(?<![a-zA-Z])(?:[a-z]|pi|inf(?:ty|inity)?)(?![a-zA-Z])", s))


def to_latex(s: str) -> str:
    """A cleaned expression as the LaTeX that math-verify reads."""
    for pattern, by in _TYPED:
        s = pattern.sub(by, s)
    if s.startswith("{") and s.endswith("}"):
        s = rf"\{{{s[1:-1]}\}}"
    return s.strip()
