"""A calculator for lines of assignments: exact, within limits, and unable to do anything else.

It walks over what `reading` found and knows numbers, names, + - * / // % ** and a few functions. Nothing is executed.
Every answer ends as a value or as a sentence that says why there is none.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal
from fractions import Fraction
from itertools import chain
from typing import Final

from tale_core.grading.lines.reading import KEYWORD, Written, written
from tale_core.grading.thinking import split_thinking
from tale_core.i18n import t

MAX_TEXT = 20_000
"""Characters of an answer."""
MAX_LINES = 200
MAX_STEPS = 2_000
"""Numbers, names and operations of an answer: what keeps its time short."""
MAX_NESTING = 200
MAX_DIGITS = 60
"""Digits before the point, and about as many behind it."""
MAX_LETTERS = 200
_LARGEST = Fraction(10) ** MAX_DIGITS
_MOST_BITS = 20_000
"""Of an exact power; a larger one is a floating-point number."""
SHOWN = 12
"""Digits of a value that no decimal is exactly, as one third."""
_EXACT, _ROUNDED = Context(prec=2 * MAX_DIGITS), Context(prec=SHOWN)
ANSWERS: Final = frozenset({"answer", "答案"})

Number = Fraction
Value = Fraction | str | tuple[Fraction, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an answer.

    Attributes:
        text: As written.
        value: What it comes to; None for prose, and where there is a problem.
        problem: Why it has no value, a sentence.
    """

    text: str
    value: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Worked:
    """An answer, worked out.

    Attributes:
        answer: What the last line `answer = …` comes to; None where there is a problem.
        problem: Why there is no answer, a sentence.
    """

    lines: tuple[Line, ...] = ()
    answer: str | None = None
    problem: str | None = None


class _NoValueError(Exception):
    """Why there is no value, a sentence."""


@dataclass(slots=True)
class _Sheet:
    """The names of an answer and what they stand for, or why for nothing."""

    values: dict[str, Value | _NoValueError] = field(default_factory=dict)
    steps: int = 0
    block: _NoValueError | None = None
    """Something that is no assignment may have changed any name from here on."""


def work_out(text: str, *, whole: bool = True) -> Worked:
    """The lines of an answer with their values, and its answer. Never raises, and runs nothing.

    Args:
        text: What the model wrote; its thoughts are left out.
        whole: The text has ended; else its last line may be half of one and has no value yet.
    """
    text = split_thinking(text).answer
    if len(text) > MAX_TEXT:
        return Worked(problem=t("The answer is longer than {n:,} characters.", n=MAX_TEXT))
    found = list(written(text))
    if len(found) > MAX_LINES:
        return Worked(problem=t("The answer has more than {n} lines.", n=MAX_LINES))
    growing = [Line(found.pop().text)] if not whole and found and not text.endswith("\n") else []
    sheet = _Sheet()
    lines = [_line(sheet, one) for one in found]
    answer, problem = _answer(sheet)
    return Worked((*lines, *growing), answer, problem)


def _answer(sheet: _Sheet) -> tuple[str | None, str | None]:
    named = [value for name, value in sheet.values.items() if name.casefold() in ANSWERS]
    if not named:
        return None, str(sheet.block or t("No line gives “answer” a value."))
    value = named[-1]
    if isinstance(value, tuple):
        return None, t("The answer is a list, and not one value.")
    return (None, str(value)) if isinstance(value, _NoValueError) else (shown(value), None)


def _line(sheet: _Sheet, one: Written) -> Line:
    if one.code is None:
        if one.name is None:
            return Line(one.text)  # Prose.
        problem = _NoValueError(t("This is nothing that the calculator can read."))
        sheet.values[one.name] = problem
        return Line(one.text, problem=str(problem))
    line = Line(one.text)
    for statement in chain.from_iterable(map(_one_by_one, one.code)):
        line = _statement(sheet, statement, line)
    return line


def _statement(sheet: _Sheet, statement: ast.stmt, line: Line) -> Line:
    """Give names their values; the line with the value, or with the problem."""
    names, value = _given(statement)
    if value is None:
        if not _may_change(statement):
            return line
        sheet.block = sheet.block or _NoValueError(t("Not an assignment: the calculator works out assignments alone."))
        return replace(line, problem=str(sheet.block))
    try:
        found: Value | _NoValueError = sheet.block or _Work(sheet).value(value)
    except _NoValueError as e:
        found = e
    for name in names:
        sheet.values.pop(name, None)  # The answer that is given last stands last.
        sheet.values[name] = found
    if isinstance(found, _NoValueError):
        return replace(line, value=None, problem=str(found))
    return replace(line, value=shown(found), problem=None)


def _given(statement: ast.stmt) -> tuple[list[str], ast.expr | None]:
    """The names that a statement gives a value, and the value; no value where it is no assignment to names."""
    targets: list[ast.expr] = []
    value: ast.expr | None = None
    if isinstance(statement, ast.Assign):
        targets, value = statement.targets, statement.value
    elif isinstance(statement, ast.AnnAssign):
        targets, value = [statement.target], statement.value
    elif isinstance(statement, ast.AugAssign):
        targets = [statement.target]
        if isinstance(statement.target, ast.Name):
            value = ast.BinOp(ast.Name(statement.target.id, ast.Load()), statement.op, statement.value)
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return (names, value) if len(names) == len(targets) else ([], None)


def _one_by_one(statement: ast.stmt) -> list[ast.stmt]:
    """`a, b = 1, 2` as one assignment for each name, where no value names what is given one beside it."""
    match statement:
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)) if len(names) == len(values):
            used = {node.id for value in values for node in ast.walk(value) if isinstance(node, ast.Name)}
            if not used & {name.id for name in names if isinstance(name, ast.Name)}:
                return [ast.Assign([name], value) for name, value in zip(names, values, strict=True)]
    return [statement]


def _may_change(statement: ast.stmt) -> bool:
    """Whether Python might give names other values by this: a loop, a definition, `x[0] = 1`, `x.append(1)`."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call) and isinstance(statement.value.func, ast.Attribute)
    harmless = (ast.Import, ast.ImportFrom, ast.Return, ast.Pass, ast.Assert, ast.Raise, ast.Break, ast.Continue)
    return not isinstance(statement, harmless)


@dataclass(frozen=True, slots=True)
class _Work:
    """Works out one expression."""

    sheet: _Sheet

    def value(self, node: ast.expr, depth: int = 0) -> Value:
        self.sheet.steps += 1
        if self.sheet.steps > MAX_STEPS or depth > MAX_NESTING:
            raise _NoValueError(t("The answer takes more steps than the calculator does."))
        match node:
            case ast.Constant(value=constant):
                return _constant(constant)
            case ast.Name(id=name):
                return self._named(name)
            case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=operand):
                number = self.number(operand, depth)
                return -number if isinstance(sign, ast.USub) else number
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
                return _tidy(_OPERATIONS[type(op)](self.number(left, depth), self.number(right, depth)))
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return tuple(self.number(part, depth) for part in parts)
            case (
                ast.Call(func=ast.Name(id=name), args=args, keywords=[])
                | ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr=name), args=args, keywords=[])
            ) if name in _FUNCTIONS:
                return _tidy(_FUNCTIONS[name]([self.value(arg, depth + 1) for arg in args]))
        raise _NoValueError(t("The calculator does nothing like “{code}”.", code=_brief(node)))

    def number(self, node: ast.expr, depth: int) -> Fraction:
        value = self.value(node, depth + 1)
        if isinstance(value, Fraction):
            return value
        raise _NoValueError(t("“{code}” is no number.", code=_brief(node)))

    def _named(self, name: str) -> Value:
        value = self.sheet.values.get(name)
        if value is None:
            raise _NoValueError(t("No line before gives “{name}” a value.", name=name.removesuffix(KEYWORD)[:60]))
        if isinstance(value, _NoValueError):
            raise value
        return value


def _brief(node: ast.expr) -> str:
    try:
        code = ast.unparse(node).replace(KEYWORD, "")
    except RecursionError:
        code = "…"
    return code if len(code) <= 60 else f"{code[:59]}…"


def _constant(constant: object) -> Value:
    if isinstance(constant, str) and len(constant) <= MAX_LETTERS:
        return constant
    if isinstance(constant, int | float) and not isinstance(constant, bool):
        if constant >= _LARGEST:  # As are those that Python calls infinite.
            raise _too_big()
        return Fraction(str(constant))  # 0.1 is one tenth.
    raise _NoValueError(t("The calculator does nothing like “{code}”.", code=str(constant)[:60]))


def _too_big() -> _NoValueError:
    return _NoValueError(t("A number has more than {n} digits.", n=MAX_DIGITS))


def _tidy(number: Fraction) -> Fraction:
    """The number, if it is not too big; without digits that nobody will ever see."""
    if abs(number) >= _LARGEST:
        raise _too_big()
    return number if number.denominator < _LARGEST else round(number, MAX_DIGITS)


def _divisor(number: Fraction) -> Fraction:
    if not number:
        raise _NoValueError(t("Something is divided by zero."))
    return number


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent < 0:
        base, exponent = 1 / _divisor(base), -exponent
    if base in (0, 1) or exponent == 0:
        return Fraction(base if exponent else 1)
    if exponent.denominator == 1 and _bits(base) * exponent <= _MOST_BITS:
        return base ** int(exponent)
    if base < 0:
        raise _NoValueError(t("A root or power of a negative number is no number here."))
    try:
        return _rounded(float(base) ** float(exponent))
    except OverflowError:
        raise _too_big() from None


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())


def _rounded(number: float) -> Fraction:
    """Without the noise of floating-point numbers: the cube root of 64 is 4."""
    return Fraction(f"{number:.14g}")


_OPERATIONS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / _divisor(b),
    ast.FloorDiv: lambda a, b: Fraction(a // _divisor(b)),
    ast.Mod: lambda a, b: a % _divisor(b),
    ast.Pow: _power,
}


def _numbers(values: list[Value]) -> list[Fraction]:
    """The numbers of a call, whether they stand in a list or not."""
    found: list[Fraction] = []
    for value in values:
        if isinstance(value, str):
            raise _NoValueError(t("“{code}” is no number.", code=value[:60]))
        found += value if isinstance(value, tuple) else [value]
    return found


def _one(values: list[Value]) -> Fraction:
    return _just(1, values)[0]


def _two(values: list[Value]) -> tuple[Fraction, Fraction]:
    base, exponent = _just(2, values)
    return base, exponent


def _just(count: int, values: list[Value]) -> list[Fraction]:
    numbers = _numbers(values)
    if len(numbers) != count:
        raise _NoValueError(t("A function is given {n} numbers and takes another count.", n=len(numbers)))
    return numbers


def _round(values: list[Value]) -> Fraction:
    if len(values) == 2:
        places = _one(values[1:])
        if places.denominator == 1 and abs(places) <= MAX_DIGITS:
            return Fraction(round(_one(values[:1]), int(places)))
    return Fraction(round(_one(values)))


def _some(values: list[Value]) -> list[Fraction]:
    return _numbers(values) or [_one(values)]


def _count(values: list[Value]) -> Fraction:
    if len(values) == 1 and isinstance(values[0], tuple):
        return Fraction(len(values[0]))
    raise _NoValueError(t("Only a list of numbers is counted."))


_FUNCTIONS: Mapping[str, Callable[[list[Value]], Fraction]] = {
    "int": lambda values: Fraction(int(_one(values))),
    "float": _one,
    "round": _round,
    "abs": lambda values: abs(_one(values)),
    "min": lambda values: min(_some(values)),
    "max": lambda values: max(_some(values)),
    "sum": lambda values: sum(_numbers(values), Fraction(0)),
    "len": _count,
    "floor": lambda values: Fraction(math.floor(_one(values))),
    "ceil": lambda values: Fraction(math.ceil(_one(values))),
    "sqrt": lambda values: _power(_one(values), Fraction(1, 2)),
    "pow": lambda values: _power(*_two(values)),
}


def shown(value: Value) -> str:
    """A value as people write it: exact where that is short."""
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return f"[{', '.join(map(shown, value))}]"
    if value.denominator == 1:
        return str(value.numerator)
    context = _EXACT if round(value, SHOWN) == value else _ROUNDED
    text = f"{context.divide(Decimal(value.numerator), Decimal(value.denominator)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
