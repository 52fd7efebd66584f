"""The file that a browser gets for every page: Streamlit's own, told to show nothing before a page's first words.

Streamlit first draws an empty page without a sidebar; once the sidebar comes, everything would jump aside. And it
fetches the code of a widget when the first one of its kind is drawn, with a grey bar of another height meanwhile: the
browser is told to fetch the code of those that stand on first screens at once.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from streamlit import file_util

from ui.access import SIGN_IN_KEY
from ui.common.nav import PAGES

_WORDS = ("stSidebar", "stAlert", "stException")
_SHOWN = (*(f'[data-testid="{name}"]' for name in _WORDS), f".st-key-{SIGN_IN_KEY}")
_NOTHING_YET = "".join(f":not(:has({one}))" for one in _SHOWN)
_STYLE = f"<style>.stAppViewContainer{_NOTHING_YET} {{ visibility: hidden; }}</style>"


WIDGETS = (
    "PageLink", "Radio", "Button", "BaseButton", "Selectbox", "TextArea", "TextInput", "TextField", "Input",
    "NumberInput", "Checkbox", "Multiselect", "Slider", "BidiComponent", "PlotlyChart", "Table",
)  # fmt: skip
"""Of Streamlit's own files of code, by the beginning of their names."""


def routes() -> list[Route]:
    """The address of every page; what Streamlit serves besides stays with it."""
    paths = ("/" if path == "app.py" else f"/{Path(path).stem}" for path, _, _ in PAGES)
    return [Route(path, _page, methods=["GET"]) for path in paths]


async def _page(request: Request) -> HTMLResponse:
    return HTMLResponse(_html(), headers={"Cache-Control": "no-cache"})


@cache
def _html() -> str:
    static = Path(file_util.get_static_dir())
    files = [file.name for name in WIDGETS for file in sorted((static / "js").glob(f"{name}.*.js"))]
    early = "".join(f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in files)
    page = (static / "index.html").read_text(encoding="utf-8")
    return page.replace("</head>", f"{early}{_STYLE}</head>", 1)
