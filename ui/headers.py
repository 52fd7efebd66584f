"""What browsers are told with every answer of the server: nothing of elsewhere is loaded or run, nobody frames it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from hashlib import sha256
from typing import Any

from ui.first_frame import html

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


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
