"""A gate with nothing behind it, and requests as a server hands them over."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

from tale_core.access.gate import Gate, cookies
from tale_core.access.policy import Policy, policy_for
from tale_core.settings import Settings

OWN = "127.0.0.1:8501"
BEHIND = "the app"


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""

    @property
    def passed(self) -> bool:
        return self.body == BEHIND or self.status == 101

    def header(self, name: str) -> str:
        return next((v for k, v in self.headers if k == name), "")

    @property
    def cookies(self) -> dict[str, str]:
        return cookies({"cookie": ";".join(v.split(";")[0] for k, v in self.headers if k == "set-cookie")})


class Server:
    """A server of some mode, asked by browsers that keep cookies in `jar`."""

    def __init__(self, address: str | None = "127.0.0.1", *, elsewhere: bool = False, **settings: Any) -> None:
        self.settings = Settings(**{"owner_token": "off", **settings})
        self.policy: Policy = policy_for(address, self.settings, elsewhere=elsewhere)
        self.now = 1000.0
        self.gate = Gate(_app, lambda: self.policy, clock=lambda: self.now)

    def ask(
        self, path: str = "/", *, host: str = OWN, jar: dict[str, str] | None = None, websocket: bool = False,
        method: str = "GET", client: str = "127.0.0.1", body: str = "", **headers: str,
    ) -> Answer:  # fmt: skip
        where, _, query = path.partition("?")
        told = {"host": host, "accept": "text/html", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if jar:
            told["cookie"] = "; ".join(f"{k}={v}" for k, v in jar.items())
        scope = {
            "type": "websocket" if websocket else "http", "method": method, "path": where, "scheme": "http",
            "query_string": query.encode(), "client": (client, 5), "server": ("127.0.0.1", 8501),
            "headers": [(k.encode(), v.encode()) for k, v in told.items()],
        }  # fmt: skip
        answer = asyncio.run(_asked(self.gate, scope, body))
        if jar is not None:
            jar.update(answer.cookies)
        return answer

    def replace(self, **changes: Any) -> None:
        self.policy = replace(self.policy, **changes)


async def _asked(gate: Gate, scope: dict[str, Any], body: str) -> Answer:
    found = Answer(0)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body.encode(), "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "websocket.accept":
            found.status = 101
        elif message["type"] == "websocket.close":
            found.status = 403
        elif message["type"] == "http.response.start":
            found.status = message["status"]
            found.headers = [(k.decode(), v.decode()) for k, v in message["headers"]]
        else:
            found.body += message["body"].decode()

    await gate(scope, receive, send)
    return found


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": BEHIND.encode()})
