"""HTML files that need nothing else: templates in which every text is escaped, and charts drawn as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from tale_core.i18n import t
from tale_core.text import sanitize

WIDTH, HEIGHT = 960, 460
"""Of a picture that does not say another size, in its own units: it grows and shrinks with the page."""


def render(template: str, **values: object) -> str:
    """A Jinja template filled in. Every text is escaped and made visible; `Markup` alone goes in as it is.

    Args:
        template: May say sentences with `t`.
        values: What it names.
    """
    return _template(template).render(t=t, **values)


@lru_cache(maxsize=64)
def _template(source: str) -> Template:
    """Compiling one takes far longer than filling it in."""
    page = Environment(
        autoescape=True,
        undefined=StrictUndefined,  # A name that is no more is a mistake, and not an empty place.
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) or not isinstance(value, str) else sanitize(value),
    )
    # A JSON document for a script: in the file's own letters, and as short as it goes.
    page.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    return page.from_string(source)


class Frame(NamedTuple):
    """Where numbers lie in a picture of so many pixels with these margins; x may be logarithmic."""

    x0: float
    x1: float
    y1: float
    log: bool = False
    width: int = WIDTH
    height: int = HEIGHT
    left: int = 74
    right: int = 26
    top: int = 34
    bottom: int = 62

    def x(self, value: float) -> float:
        """The place of a number along the picture."""
        low, high, at = (math.log(v) for v in (self.x0, self.x1, value)) if self.log else (self.x0, self.x1, value)
        return self.left + (at - low) / ((high - low) or 1) * (self.width - self.left - self.right)

    def y(self, value: float) -> float:
        """The place of a number from 0 to `y1`, counted from the top; larger ones lie at the top."""
        return self.height - self.bottom - min(value, self.y1) / self.y1 * (self.height - self.top - self.bottom)

    def across(self, y: float, kind: str) -> Markup:
        """A line from margin to margin."""
        return tag("line", x1=self.left, x2=self.width - self.right, y1=y, y2=y, class_=kind)

    def axes(self, xs: Sequence[float], names: Sequence[str], x_title: str, y_title: str) -> list[Markup]:
        """A grid with its numbers, and below it a name for each of `xs`."""
        step = nice(self.y1 / 6)
        parts = []
        for i in range(int(self.y1 // step) + 1):
            y = self.y(i * step)
            parts += [self.across(y, "grid"), words(f"{i * step:,.0f}", self.left - 10, y + 5, "end")]
        parts += [words(name, self.x(x), self.height - self.bottom + 24) for x, name in zip(xs, names, strict=True)]
        parts.append(self.across(self.y(0), "axis"))
        parts.append(words(x_title, (self.left + self.width - self.right) / 2, self.height - 12))
        parts.append(words(y_title, self.left - 60, 18, "start"))
        return parts


def nice(least: float) -> float:
    """The next larger of 1, 2, 5, 10, 20, …: the step of an axis."""
    decade = 10.0 ** math.floor(math.log10(max(least, 1e-9)))
    return next(step * decade for step in (1, 2, 5, 10) if step * decade >= least * 0.999)


def tag(name: str, inside: Iterable[Markup] = (), **attributes: object) -> Markup:
    """An element; `class_` is written `class`, `text_anchor` `text-anchor`, a float with one decimal."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), f"{v:.1f}" if isinstance(v, float) else v)
        for key, v in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, Markup("").join(inside))


def words(said: str, x: float, y: float, anchor: str = "middle") -> Markup:
    """A text at a place."""
    return tag("text", [Markup.escape(sanitize(said))], x=x, y=y, text_anchor=anchor)


def picture(parts: Iterable[Markup], described: str, *, width: int = WIDTH, height: int = HEIGHT) -> Markup:
    """A drawing, and what it shows for those who do not see it."""
    title = tag("title", [Markup.escape(sanitize(described))])
    return tag("svg", [title, *parts], viewBox=f"0 0 {width} {height}", role="img", xmlns="http://www.w3.org/2000/svg")
