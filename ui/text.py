"""Text that other people or models wrote, made safe to show: hostile until shown otherwise.

Answers are drawn with `st.text`, which interprets nothing; labels and titles are Markdown, so what goes into them is
escaped here. Invisible and direction-changing characters are made visible, since they can make a page lie.
"""

from __future__ import annotations

import re

MAX_SHOWN = 20_000
"""Characters of one answer drawn in the page. The store keeps all of it, and the page offers it as a file."""

# Left-to-right and right-to-left marks, embeddings, overrides and isolates; byte order mark; interlinear annotations.
_INVISIBLE = re.compile(
    "[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\u0000-\u0008\u000b-\u001f\u007f]"
)
# Addresses are made into links after escapes are undone; an invisible word joiner keeps them text.
_AUTOLINK = re.compile(r"(://|www\.|@)", re.IGNORECASE)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>$~:^&=@/])")


def visible(text: str) -> str:
    """`text` with control and direction characters shown as `⟨U+202E⟩`; line ends and tabs stay."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub(lambda m: f"⟨U+{ord(m.group()):04X}⟩", text)


def clip(text: str, limit: int = MAX_SHOWN) -> tuple[str, bool]:
    """The first `limit` characters, and whether anything was left out."""
    return (text, False) if len(text) <= limit else (text[:limit], True)


def answer_text(text: str) -> tuple[str, bool]:
    """A model's answer for `st.text`: clipped, visible; and whether it was clipped."""
    shown, clipped = clip(text)
    return visible(shown), clipped


def literal(text: str, limit: int = 300) -> str:
    """One line for a Markdown label that shows exactly `text`: nothing is interpreted, `$` stays a dollar sign."""
    line = " ".join(visible(text).split())
    if len(line) > limit:
        line = line[: limit - 1].rstrip() + "…"
    line = _AUTOLINK.sub("\u2060\\1\u2060", line)
    return _MARKDOWN.sub(r"\\\1", line)
