"""What browsers get of the server itself: the file of every page, and the headers that come with every answer.

The file is Streamlit's own, told to show nothing that would jump a moment later.

Streamlit first draws an empty page without a sidebar; once the sidebar comes, everything would jump aside. And in the
place of a widget whose script is still on its way it draws a grey bar, which is lower or higher than the widget: what
stands below waits for it, so that a page is drawn from the top down and nothing in it moves.

And where Streamlit's script dies of a message that does not fit what it has drawn (streamlit/streamlit#15084 is of this
kind; a class of thirty on a busy machine brings it about), the page would stay white for ever: it loads itself again.
Its address is its memory, so that it comes back as it was.

The headers let nothing of elsewhere be loaded or run, and nobody frame a page.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from streamlit import file_util

from tale_core.charts.theme import TITLE_ROOM
from ui.access import SIGN_IN_KEY
from ui.common.nav import PAGES

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
LIFT = 14 - TITLE_ROOM
"""Pixels by which a chart is drawn higher: a title of one line and what it is about are at least as high."""

_WORDS = ("stSidebar", "stAlert", "stException")
_SHOWN = (*(f'[data-testid="{name}"]' for name in _WORDS), f".st-key-{SIGN_IN_KEY}")
_NOTHING_YET = "".join(f":not(:has({one}))" for one in _SHOWN)
_WAITING = "[data-testid=stSkeleton]"
# The question is the highest widget of its pages, and on a phone everything else stands below it.
_QUESTION = f".st-key-question:has({_WAITING}) {{ min-height: 110px; }}"
_BELOW = f".stApp :has({_WAITING}) ~ *, .stApp {_WAITING} ~ * {{ visibility: hidden; }}"
# The open tab is underlined in the primary colour; as small text that colour is too dark on a dark page (WCAG AA).
_TAB = '.stTabs [role="tab"][aria-selected="true"] { color: inherit !important; }'
# Streamlit leaves six rem above a page, for a bar that this one does not have.
_TOP = ".stApp .stMainBlockContainer { padding-top: 4rem; }"
# Whoever types on glass has no Ctrl; and words of several lines are read from the left.
_BUTTON = (
    "@media (hover: none) and (pointer: coarse) { .stApp button kbd { display: none; } } "
    ".stApp button[kind=tertiary] p { text-align: start; }"
)
# A chart's title is text of the page, which breaks into lines by itself; it lies over the room that the chart keeps for
# the title of the picture that it is saved as (`tale_core.charts.theme.layout`).
_TITLED = "[class*=st-key-titled_]"
_CHART = (
    f"{_TITLED} .g-gtitle {{ display: none; }} {_TITLED} > :has(.stPlotlyChart) {{ margin-top: {LIFT}px; }} "
    f"{_TITLED} .stMarkdown {{ position: relative; z-index: 1; pointer-events: none; padding-right: 2.5rem; }}"
)
_HIDDEN = f".stAppViewContainer{_NOTHING_YET} {{ visibility: hidden; }}"
_AGAIN = """<script>
addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("root"), key = "tale-loaded-again", least = 10000;
  let drawn = false;
  new MutationObserver(() => {
    if (root.childElementCount) { drawn = true; return; }
    // One that dies at once, again and again, is left alone.
    if (!drawn || Date.now() - Number(sessionStorage.getItem(key)) < least) return;
    sessionStorage.setItem(key, String(Date.now()));
    location.reload();
  }).observe(root, { childList: true });
});
</script>"""
_STYLE = f"<style>{_HIDDEN} {_BELOW} {_QUESTION} {_TOP} {_CHART} {_TAB} {_BUTTON}</style>"


def routes() -> list[Route]:
    """The address of every page; what Streamlit serves besides stays with it."""
    paths = ("/" if path == "app.py" else f"/{Path(path).stem}" for path, _, _ in PAGES)
    return [Route(path, _page, methods=["GET"]) for path in paths]


async def _page(request: Request) -> HTMLResponse:
    return HTMLResponse(html(), headers={"Cache-Control": "no-cache"})


def html() -> str:
    """The file, whose scripts are Streamlit's and ours."""
    file = Path(file_util.get_static_dir()) / "index.html"
    return file.read_text(encoding="utf-8").replace("</head>", f"{_STYLE}{_AGAIN}</head>", 1)


def content_security_policy(inline: Iterable[str]) -> str:
    """The strictest policy under which Streamlit's pages work.

    Two of its ways need more than 'self': it writes styles as it draws (`unsafe-inline`, for styles alone), and it runs
    the script of a component, ours for the keyboard focus, from a blob.

    Args:
        inline: The scripts that stand in the page itself; each is let in by its hash.
    """
    hashes = (f"'sha256-{b64encode(sha256(one.encode()).digest()).decode()}'" for one in inline)
    parts = {
        "default-src": "'none'",
        "script-src": " ".join(["'self'", "blob:", *hashes]),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "media-src": "'self' blob:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "manifest-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in parts.items())


def headers() -> dict[str, str]:
    """Each header by its name."""
    return {
        "content-security-policy": content_security_policy(_INLINE.findall(html())),
        "x-frame-options": "DENY",
        "x-content-type-options": "nosniff",
        # Addresses name sessions: other sites are not told them.
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=(), serial=(), payment=()",
    }


class StrictHeaders:
    """ASGI middleware that adds these headers to every answer, in the place of any of the same name."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in headers().items()]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let a request pass; what comes back gets the headers."""
        ours = {name for name, _ in self._headers}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in ours]
                message["headers"] = [*kept, *self._headers]
            await send(message)

        await self._app(scope, receive, sending)
