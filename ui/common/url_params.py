"""Widgets whose values stand in the address, by their stable names and not by the words that they show.

A refresh, a shared link and the browser's back button find them again. Streamlit's own binding writes the shown words,
which change with the language. Call `take` before the widget is drawn and `put` after it.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st


def take(key: str, options: Sequence[str], default: str) -> None:
    """Give a widget that chooses one of `options` its value: the address's if it changed since, else its own."""
    there = st.query_params.get(key, default)
    wanted = there if there in options else default
    if _changed(key, [there]) or st.session_state.get(key) not in options:
        st.session_state[key] = wanted


def put(key: str, default: str) -> str:
    """Write the value of such a widget into the address, where it is not the usual one; return it."""
    value = str(st.session_state.get(key) or default)
    _write(key, [] if value == default else [value])
    _remember(key, [value])
    return value


def take_several(key: str, options: Sequence[str]) -> None:
    """`take` for a widget that chooses several of `options`, or none."""
    there = st.query_params.get_all(key)
    if _changed(key, there) or key not in st.session_state:
        st.session_state[key] = [value for value in there if value in options]
    else:
        st.session_state[key] = [value for value in st.session_state[key] if value in options]


def put_several(key: str) -> tuple[str, ...]:
    """`put` for such a widget."""
    values = [str(value) for value in st.session_state.get(key, ())]
    _write(key, values)
    _remember(key, values)
    return tuple(values)


def _changed(key: str, there: list[str]) -> bool:
    """Whether the address says something else than what was written into it last: somebody went back, or came anew."""
    written = st.session_state.get("address", {}).get(key)
    return written is None or list(written) != there


def _remember(key: str, values: list[str]) -> None:
    st.session_state["address"] = {**st.session_state.get("address", {}), key: tuple(values)}


def _write(key: str, values: list[str]) -> None:
    if st.query_params.get_all(key) == values:
        return
    if values:
        st.query_params[key] = values
    else:
        st.query_params.pop(key, None)
