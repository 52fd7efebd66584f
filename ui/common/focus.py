"""Putting the keyboard into a field, which Streamlit itself cannot do: a few lines of our own script, fed no data.

Without it somebody who works by keyboard alone would have to walk through the whole page to reach a box that a key has
just opened.
"""

from __future__ import annotations

import streamlit as st

_SCRIPT = """
export default function ({ data }) {
  const place = () => document.querySelector(`.st-key-${CSS.escape(data.key)} :is(input, textarea)`);
  const timer = setInterval(() => {
    const field = place();
    if (field) { field.focus(); field.select(); clearInterval(timer); }
  }, 30);
  const enough = setTimeout(() => clearInterval(timer), 2000);
  return () => { clearInterval(timer); clearTimeout(enough); };
}
"""
_focus = st.components.v2.component("tale_focus", js=_SCRIPT)


def focus(key: str) -> None:
    """Put the keyboard into the text field with this widget key, once it is there.

    Args:
        key: Of letters, digits, `-` and `_`, fixed in our code or made of a hash: never a person's words.
    """
    _focus(data={"key": key}, key=f"focus_{key}", height=1)
