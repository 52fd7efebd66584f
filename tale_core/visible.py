"""Invisible and direction-changing characters made visible, since they can make a page lie. Knows text only."""

from __future__ import annotations

import re

# Left-to-right and right-to-left marks, embeddings, overrides and isolates; byte order mark; interlinear annotations.
_INVISIBLE = re.compile(
    "[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\u0000-\u0008\u000b-\u001f\u007f]"
)


def visible(text: str) -> str:
    """`text` with control and direction characters shown as `⟨U+202E⟩`; line ends and tabs stay."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub(lambda m: f"⟨U+{ord(m.group()):04X}⟩", text)
