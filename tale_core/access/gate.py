"""The gate in front of the whole server: every request passes it, before Streamlit or a page sees anything of it.

It answers known names alone, refuses what other sites' pages send, takes the owner's link, signs people in and out, and
gives each browser a cookie that tells it from others. `Policy` says who may come; this says it in HTTP.
"""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from tale_core.access.accounts import as_kept
from tale_core.access.hosts import known_host, own_page
from tale_core.access.keys import KEPT_S
from tale_core.access.pages import refused_page, sign_in_page
from tale_core.access.policy import Policy
from tale_core.errors import SettingsError
from tale_core.i18n import NAMES, SOURCE, t, use_language
from tale_core.types import Language

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN = "token"
"""The part of an address that carries the owner's token."""
SIGN_IN, SIGN_OUT = "/_tale/sign-in", "/_tale/sign-out"
_HEALTH = "/_stcore/health"
_PARTS = ("/_stcore/", "/static/", "/media/", "/component/")
"""What Streamlit's page fetches by itself."""
_MOST_FORM = 8_192
TRIES, TRIES_S = 10, 300.0
"""Wrong passwords from an address within so many seconds: then no more are looked at."""


class Gate:
    """ASGI middleware.

    Args:
        app: What stands behind.
        policy: Who may come; called at the first request, when the server knows its own address.
        clock: Seconds (for tests).
    """

    def __init__(self, app: App, policy: Callable[[], Policy], clock: Callable[[], float] = time.monotonic) -> None:
        self._app, self._policy = app, policy
        self._tries = _Tries(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request pass, or answer it."""
        if scope["type"] not in ("http", "websocket") or (scope["type"], scope["path"]) == ("http", _HEALTH):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        with use_language(_language(scope, headers)):
            try:
                answer = await self._answer(self._policy(), scope, headers, receive)
            except SettingsError as e:
                answer = HTMLResponse(refused_page(str(e)), 500)
        if answer is None:
            await self._app(scope, receive, _giving_cookie(self._policy(), scope, headers, send))
        elif scope["type"] == "http":
            answer.headers["Cache-Control"] = "no-store"
            await answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, policy: Policy, scope: Scope, headers: Headers, receive: Receive) -> Response | None:
        """What the gate itself says; None lets the request pass."""
        if not known_host(headers.get("host"), policy.hosts):
            return PlainTextResponse(_unknown_name(), 421)
        websocket = scope["type"] == "websocket"
        method = "GET" if websocket else str(scope["method"])
        if not own_page(headers, method=method, websocket=websocket, allowed=policy.hosts):
            return PlainTextResponse(t("This was asked for by a page of another site, and is refused."), 403)
        if not websocket:
            if method == "GET" and TOKEN in (given := parse_qs(scope["query_string"].decode("latin-1"))):
                return _by_link(policy, scope, given[TOKEN][-1])
            if scope["path"] == SIGN_IN:
                return await self._sign_in(policy, Request(scope, receive))
            if scope["path"] == SIGN_OUT:
                return _signed_out(policy)
        asker = policy.asker(cookies(headers), _address(scope))
        if asker.role != "stranger" or policy.elsewhere:
            return None
        return _stranger(policy, scope, method)

    async def _sign_in(self, policy: Policy, request: Request) -> Response:
        """Take a name and a password."""
        if policy.mode != "team":
            return RedirectResponse("/", 303)
        if request.method != "POST":
            return HTMLResponse(sign_in_page(own_path(request.query_params.get("next", "/"))))
        form = await _form(request)
        name, path = as_kept(form.get("name", "")), own_path(form.get("next", "/"))
        where = _network(_address(request.scope) or "")
        if wait := self._tries.wait(where):
            problem = t("Too many wrong passwords. Try again in {s:.0f} s.", s=wait)
            return HTMLResponse(sign_in_page(path, name, problem), 429, {"Retry-After": f"{wait:.0f}"})
        self._tries.add(where)  # Before it is looked at: many at the same time are many tries.
        if not await run_in_threadpool(policy.accounts.is_password, name, form.get("password", "")):
            return HTMLResponse(sign_in_page(path, name, t("This name and password do not go together.")), 403)
        self._tries.take_back(where)
        return _with_cookie(RedirectResponse(path, 303), policy.cookie, policy.by_password(name), request.scope)


class _Tries:
    """Wrong passwords of late, by the address they came from: a limit by name would let anybody lock others out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._made: dict[str, list[float]] = {}

    def wait(self, where: str) -> float:
        """Seconds until another password is looked at; 0 when now."""
        now = self._clock()
        self._made = {k: kept for k, made in self._made.items() if (kept := [at for at in made if now - at < TRIES_S])}
        made = self._made.get(where, [])
        return made[-TRIES] + TRIES_S - now if len(made) >= TRIES else 0.0

    def add(self, where: str) -> None:
        """A password is about to be looked at."""
        self._made.setdefault(where, []).append(self._clock())

    def take_back(self, where: str) -> None:
        """It was right. The others stay: a right one between them must not make room for more."""
        if made := self._made.get(where):
            made.pop()


def cookies(headers: Mapping[str, str]) -> dict[str, str]:
    """The cookies of a request; one that cannot be read hides no other."""
    found: dict[str, str] = {}
    for part in headers.get("cookie", "").split(";"):
        try:
            found.update({name: morsel.value for name, morsel in SimpleCookie(part.strip()).items()})
        except CookieError:
            continue
    return found


def _by_link(policy: Policy, scope: Scope, given: str) -> Response:
    """The owner's token becomes a cookie and leaves the address, which people copy and screens show."""
    if not policy.keys.is_token(given):
        return HTMLResponse(refused_page(_not_the_link()), 403)
    rest = [(k, v) for k, v in parse_qsl(scope["query_string"].decode("latin-1")) if k != TOKEN]
    to = own_path(scope["path"]) + (f"?{urlencode(rest)}" if rest else "")
    return _with_cookie(RedirectResponse(to, 303), policy.cookie, policy.by_link(), scope)


def _stranger(policy: Policy, scope: Scope, method: str) -> Response:
    if scope["type"] == "http" and method == "GET" and "text/html" in Headers(scope=scope).get("accept", ""):
        query = scope["query_string"].decode("latin-1")
        here = own_path(scope["path"] + (f"?{query}" if query else ""))
        page = sign_in_page(here) if policy.mode == "team" else refused_page(_link_needed())
        return HTMLResponse(page, 401)
    return PlainTextResponse(_link_needed(), 401)


def _link_needed() -> str:
    return t(
        "This program belongs to whoever started it. Open the link that it printed at its start; the browser then "
        "remembers it. TALE_OWNER_TOKEN=off lets everybody on this machine in."
    )


def _not_the_link() -> str:
    return t("This is not the link that the program printed at its start. Open that one.")


def _unknown_name() -> str:
    return t(
        "This server does not go by that name. Open it by its address in digits, or name it in TALE_ALLOWED_HOSTS "
        "where the program is started."
    )


def _signed_out(policy: Policy) -> Response:
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(policy.cookie, path="/", httponly=True, samesite="lax")
    return answer


def _giving_cookie(policy: Policy, scope: Scope, headers: Headers, send: Send) -> Send:
    """Give a browser without one its cookie with the first page, also where it had kept the page itself."""
    name = policy.browser_cookie
    a_page = scope["type"] == "http" and not scope["path"].startswith(_PARTS)
    read_as = headers.get("accept", "*/*")
    if not a_page or name in cookies(headers) or not ("text/html" in read_as or read_as == "*/*"):
        return send
    given = _with_cookie(Response(), name, secrets.token_hex(16), scope).headers["set-cookie"]

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(raw=message.setdefault("headers", [])).append("Set-Cookie", given)
        await send(message)

    return sending


def _with_cookie(answer: Response, name: str, value: str, scope: Scope) -> Response:
    secure = scope.get("scheme") in ("https", "wss")
    answer.set_cookie(name, value, max_age=KEPT_S, path="/", httponly=True, samesite="lax", secure=secure)
    return answer


async def _form(request: Request) -> dict[str, str]:
    """A form's fields; one that is too long, has too many, or is none, is empty."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_FORM:
            return {}
    with suppress(ValueError):
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10))
    return {}


def own_path(path: str) -> str:
    """A path of this server; anything that leads elsewhere is its first page."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    if parts.scheme or parts.netloc or not path.startswith("/") or path[1:2] in ("/", "\\"):
        return "/"
    return quote(path, safe="/?&=%+-._~:,;@!$'()*")


def _network(address: str) -> str:
    """Whom tries are counted for: of IPv6 a household or a server has a whole network of addresses to try from."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.IPv6Network((found, 64), strict=False))


def _address(scope: Scope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None


def _language(scope: Scope, headers: Headers) -> Language:
    """What the address says, else the first of the browser's languages that is one of ours."""
    asked = parse_qs(scope["query_string"].decode("latin-1")).get("lang", [""])[-1]
    for one in NAMES:
        if asked == one:
            return one
    for tag in headers.get("accept-language", "").split(","):
        main = tag.split(";")[0].strip().split("-")[0].lower()
        if main in NAMES:
            return main
    return SOURCE
