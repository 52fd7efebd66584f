"""The process that compares mathematical expressions with math-verify. Started by `expressions`, never imported.

Runs alone, as a script: it imports nothing of the project and nothing of its parent process. It reads one JSON object a
line on standard input ({"id", "gold", "given", "limit_s"}) and answers each with one line ({"id", "verdict"}). The
verdict is "same", "different", "timeout", "rounded" when one side is the other in few decimals, or "unreadable" when
one side is no mathematics to math-verify.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any, TextIO

_MEMORY_BYTES = 2 << 30
"""A tower of powers must not take the machine's memory with it."""


class _TimeUp(BaseException):
    """Our own time-out. Not an Exception, so that nothing between here and the parser takes it for "different"."""


def _on_alarm(_signal: int, _frame: FrameType | None) -> None:
    raise _TimeUp


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


def _timed(compare: Callable[[str, str], str], gold: str, given: str, limit_s: float) -> str:
    """Run with a limit, where the system has interval timers; elsewhere the parent's limit is the only one."""
    if not hasattr(signal, "setitimer"):
        return compare(gold, given)
    try:
        # Repeated, because a careless handler inside sympy may swallow the first.
        signal.setitimer(signal.ITIMER_REAL, limit_s, 0.5)
        try:
            return compare(gold, given)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _TimeUp:
        signal.setitimer(signal.ITIMER_REAL, 0)
        return "timeout"


def _comparer() -> Callable[[str, str], str]:
    from latex2sympy2_extended.latex2sympy2 import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse, verify
    from sympy import Eq, Expr, Rational, simplify

    # Its way with units takes the "c" of "5 - 5c" for cents; units are taken off before an expression comes here.
    normalization = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all")
    config = [LatexExtractionConfig(normalization_config=normalization)]

    def read(latex: str) -> list[Any]:
        return list(parse(f"${latex}$", config, fallback_mode="no_fallback", parsing_timeout=None))

    def same_solutions(a: list[Any], b: list[Any]) -> bool:
        """Whether one equation is a multiple of the other: "y = 2 - x/2" and "x + 2y = 4"."""
        left, right = ([x.lhs - x.rhs for x in side if isinstance(x, Eq)] for side in (a, b))
        if not left or not right or right[0] == 0:
            return False
        ratio = simplify(left[0] / right[0])
        return bool(ratio.is_number and ratio != 0)

    def rounds_to(exact: Any, written: str) -> bool:
        """Whether a decimal number as written is the rounding of an exact value: "1.41" of the square root of 2."""
        decimal = re.fullmatch(r"\s*-?\d{1,9}\.(\d{2,9})\s*", written)
        if decimal is None or not isinstance(exact, Expr) or not exact.is_number:
            return False
        return bool(abs(exact - Rational(written.strip())) <= Rational(1, 2 * 10 ** len(decimal[1])))

    def compare(gold: str, given: str) -> str:
        try:
            a, b = read(gold), read(given)
            if not a or not b:
                return "unreadable"
            # verify() simplifies assignments on one side only, so both directions are asked.
            same = verify(a, b, timeout_seconds=None) or verify(b, a, timeout_seconds=None) or same_solutions(a, b)
            if not same and (rounds_to(b[0], gold) or rounds_to(a[0], given)):
                return "rounded"
        except (Exception, MemoryError, RecursionError):
            return "unreadable"
        return "same" if same else "different"

    return compare


def _serve(requests: TextIO, answers: TextIO) -> None:
    compare = _comparer()
    compare("1", "1")
    print(json.dumps({"id": 0, "verdict": "ready"}), file=answers, flush=True)
    for line in requests:
        job = json.loads(line)
        limit_s = float(job["limit_s"])
        # C code that holds the interpreter cannot be interrupted by a signal; then the process goes.
        faulthandler.dump_traceback_later(limit_s + 10, exit=True)
        verdict = _timed(compare, job["gold"], job["given"], limit_s)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps({"id": job["id"], "verdict": verdict}), file=answers, flush=True)


def main() -> None:
    """Serve until standard input closes, which it does when the parent goes, however it goes."""
    # Whatever a library prints must not land between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _on_alarm)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    _limit_memory()
    _serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
