r"""What the cell of a known answer says: a letter, a place among the options, a box in a worked solution, a number.

Public sets write the same thing in many ways, and some can be read in two: 2 may be the third option (MMLU counts from
0), the second, or the option that reads "2"; 1,200 in a file whose cells stand between semicolons may be 1200 or 1.2.
The first rows of the file decide where they can; where they cannot, the reader is asked and nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tale_core.datasets.columns import ANSWER_IS
from tale_core.errors import InputError
from tale_core.i18n import joined, t

Counted = Literal["0", "1", "text"]
COUNTED: tuple[Counted, ...] = ("0", "1", "text")
"""What a whole number in the place of the right option is: its place counted from 0 or from 1, or its text."""
Lettered = Literal["letter", "text"]
"""What a letter in the place of the right option is, where options read like letters."""
Decimal = Literal["comma", "point"]
LETTER = re.compile(r"[(\[]{0,2}([A-Za-z])[)\]]{0,2}[.:、]?")
_WHOLE = re.compile(r"(\d{1,2})(?:\.0)?")
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s*")
_TO_THE_END = re.compile(r"[^$\n]*")
_UNIT = r"(\s*(?:[^\d\s.,;]{1,12})?)"
_NUMBER = re.compile(rf"([-+\u2212]?\s?[$€£¥]?\s?)(\d[\d.,]*\d){_UNIT}")
_COMMA_GROUP = re.compile(r"[1-9]\d{0,2},\d{3}")
_POINT_GROUP = re.compile(r"[1-9]\d{0,2}\.\d{3}")
_DECIMAL_COMMA = re.compile(r"\d+,\d+|\d{1,3}(?:\.\d{3})+,\d+")
_DECIMAL_POINT = re.compile(r"\d+\.\d+|\d{1,3}(?:,\d{3})+\.\d+|[1-9]\d{0,2}(?:,\d{3}){2,}")
_POINT_GROUPS = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+")


class Unclear(ValueError):
    """A cell that can be read in two ways; the message is the reason, for people."""


class NumbersUnclear(InputError):
    """Whole numbers in the place of the right option can be read in several ways; `able` are those that fit."""

    def __init__(self, message: str, hint: str, able: Sequence[Counted]) -> None:
        super().__init__(message, hint)
        self.able = tuple(able)


@dataclass(frozen=True, slots=True)
class Meaning:
    """How one file writes its known answers.

    Attributes:
        counted: What whole numbers are where options are given; None where there are none.
        lettered: What letters are where an option reads like another's letter; None where no row shows it.
        decimal: Which sign its decimals have, of a file whose cells stand between semicolons; None when it shows none.
        semicolons: Its cells do, as spreadsheets write them where the comma is the decimal sign.
    """

    counted: Counted | None = None
    decimal: Decimal | None = None
    semicolons: bool = False
    lettered: Lettered | None = None


def meaning_of(
    rows: Sequence[tuple[object, tuple[str, ...]]],
    *,
    answer: str,
    given: Mapping[str, object] | None = None,
    semicolons: bool = False,
    from_zero: bool = False,
) -> Meaning:
    """How a file writes its known answers, by its first rows.

    Args:
        rows: For each the cell of the answer and the options.
        answer: Its column, for the message.
        given: The mapping; "answer_is" in it decides.
        semicolons: The file's cells stand between semicolons.
        from_zero: The layout is one that counts from 0 (MMLU's); only a row that contradicts says otherwise.

    Raises:
        NumbersUnclear: Whole numbers can be read in several ways.
        InputError: "answer_is" has a value that it cannot have.
    """
    said = (given or {}).get(ANSWER_IS)
    if said not in (None, "", *COUNTED):
        raise InputError(
            t("The mapping has {field}={value}.", field=ANSWER_IS, value=str(said)[:40]),
            t("It is one of {names}.", names=", ".join(COUNTED)),
        )
    numbers = [(n, options) for cell, options in rows if options and (n := whole(cell)) is not None]
    counted = next((one for one in COUNTED if one == said), None) or _counted(numbers, answer, from_zero=from_zero)
    plain = [cell.strip() for cell, options in rows if semicolons and not options and isinstance(cell, str)]
    lettered: Lettered | None = None if said in (None, "") else "text" if said == "text" else "letter"
    return Meaning(counted, _decimal(plain), semicolons, lettered or _lettered(rows))


def _lettered(rows: Sequence[tuple[object, tuple[str, ...]]]) -> Lettered | None:
    """What the file's letters are, by the rows whose answer can be one thing alone."""
    shown: set[Lettered] = set()
    for cell, options in rows:
        text = cell.strip() if isinstance(cell, str) else ""
        letter = letter_place(text, options)
        if text in options and letter is None and LETTER.fullmatch(text):
            shown.add("text")
        elif letter is not None and text not in options:
            shown.add("letter")
    return shown.pop() if len(shown) == 1 else None


def letter_place(answer: str, options: Sequence[str]) -> int | None:
    """The place of the option that an answer names by its letter, from 0; None when it names none."""
    given = LETTER.fullmatch(answer)
    at = ord(given.group(1).upper()) - ord("A") if given else len(options)
    return at if at < len(options) else None


def whole(cell: object) -> int | None:
    """The whole number that a cell is, also when it is written as text; None when it is none."""
    if isinstance(cell, str):
        found = _WHOLE.fullmatch(cell.strip())
        return int(found.group(1)) if found else None
    if isinstance(cell, bool) or not isinstance(cell, int | float) or cell != cell or abs(cell) > 1_000:
        return None
    return int(cell) if cell == int(cell) else None


def place(number: int, options: Sequence[str], counted: Counted | None) -> int | None:
    """The place of the right option, from 0; None when it is none of them."""
    if counted == "text":
        found = [i for i, option in enumerate(options) if option == str(number)]
        return found[0] if found else None
    at = number if counted == "0" else number - 1
    return at if 0 <= at < len(options) else None


def _counted(numbers: Sequence[tuple[int, tuple[str, ...]]], answer: str, *, from_zero: bool) -> Counted | None:
    """The one reading that fits all rows; of several that say the same the first."""
    if not numbers:
        return None
    fitting = {one: [place(n, options, one) for n, options in numbers if n >= 0] for one in COUNTED}
    # A row that no reading fits is a bad row and tells nothing about the others.
    known = [i for i in range(len(fitting["0"])) if any(places[i] is not None for places in fitting.values())]
    read = {one: [places[i] for i in known] for one, places in fitting.items()}
    able = [one for one in COUNTED if all(at is not None for at in read[one])]
    if not known:
        return None
    if from_zero and "0" in able:
        return "0"
    if able and all(read[one] == read[able[0]] for one in able):
        return able[0]
    # None fits all rows: then some rows are wrong, and which ones depends on what the numbers mean.
    able = able or [one for one in COUNTED if any(at is not None for at in read[one])]
    listed = t(" or ").join(counted_words(one) for one in able)
    flags = t(" or ").join(f"--map {ANSWER_IS}={one}" for one in able)
    raise NumbersUnclear(
        t("The numbers in column {column!r} can be read in several ways: {ways}.", column=answer[:40], ways=listed),
        joined(t("Say which it is."), t("On the command line: {flags}.", flags=flags)),
        able,
    )


def counted_words(one: Counted) -> str:
    """What a whole number means, in words."""
    if one == "text":
        return t("the option's own text")
    return t("the option's place counted from 0") if one == "0" else t("the option's place counted from 1")


def last_box(text: str) -> str | None:
    r"""What stands in the last `\boxed{…}` (or `\fbox{…}`, or `\boxed 5`) whose braces are balanced; None without."""
    for match in reversed(list(_BOX.finditer(text))):
        start = match.end()
        if text.startswith("{", start):
            content = _balanced(text, start + 1)
        else:
            found = _TO_THE_END.match(text, start)
            content = found.group().strip().rstrip(".,;").partition(" ")[0] if found else None
        if content and content.strip():
            return content.strip()
    return None


def without_box(text: str) -> str:
    r"""The text with its last box opened: `it is \boxed{5}, then` becomes `it is 5, then`."""
    for match in reversed(list(_BOX.finditer(text))):
        content = _balanced(text, match.end() + 1) if text.startswith("{", match.end()) else None
        if content:
            return text[: match.start()] + content + text[match.end() + len(content) + 2 :]
    return text


def _balanced(text: str, start: int) -> str | None:
    """From `start` to the brace that closes what was opened before it; None when nothing does."""
    depth, at = 1, start
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if not depth:
            return text[start:at]
        at += 1
    return None


def _decimal(cells: Sequence[str]) -> Decimal | None:
    """The decimal sign that the cells show beyond doubt; None when they show none, or both."""
    found: set[Decimal] = set()
    for cell in cells:
        match = _NUMBER.fullmatch(cell)
        digits = match.group(2) if match else ""
        if _DECIMAL_COMMA.fullmatch(digits) and not _COMMA_GROUP.fullmatch(digits):
            found.add("comma")
        if _DECIMAL_POINT.fullmatch(digits) and not _POINT_GROUP.fullmatch(digits):
            found.add("point")
    return found.pop() if len(found) == 1 else None


def with_point(cell: str, meaning: Meaning) -> str:
    """A number of a file whose decimal sign is a comma, written with a point; any other cell as it is.

    Raises:
        Unclear: The file does not show whether its comma (or point) stands before decimals or between thousands.
    """
    match = _NUMBER.fullmatch(cell.strip()) if meaning.semicolons else None
    if match is None:
        return cell
    sign, digits, unit = match.groups()
    unclear = _COMMA_GROUP.fullmatch(digits) or _POINT_GROUP.fullmatch(digits)
    if unclear and meaning.decimal is None:
        raise Unclear(t("its sign may stand before decimals or between thousands: write it without thousands' signs"))
    comma = meaning.decimal == "comma" if unclear else _DECIMAL_COMMA.fullmatch(digits) is not None
    if comma or (meaning.decimal == "comma" and _POINT_GROUPS.fullmatch(digits)):
        digits = digits.replace(".", "").replace(",", ".")
    return f"{sign}{digits}{unit}"
