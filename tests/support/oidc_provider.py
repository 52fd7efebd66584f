"""A small OpenID Connect provider on loopback: code flow with PKCE and a nonce, tokens signed with a key of its own.

Its page offers a link for each person; what one is said to be is what the test says.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Mapping
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "tale", "a-secret-of-the-test-alone-and-long-enough"


class OidcProvider:
    """The provider while it runs.

    Args:
        people: Name on the page -> claims of the person's ID token.
    """

    def __init__(self, people: Mapping[str, Mapping[str, object]]) -> None:
        self.people = people
        self.key = RSAKey.generate_key(2048, {"kid": "test"})
        self.codes: dict[str, dict[str, str]] = {}
        self.refused: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.provider = self  # type: ignore[attr-defined]
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def secrets_toml(self, app_url: str) -> str:
        """What makes Streamlit sign people in here."""
        values = {
            "redirect_uri": f"{app_url}/oauth2callback", "cookie_secret": secrets.token_hex(32), "client_id": CLIENT,
            "client_secret": SECRET, "server_metadata_url": f"{self.issuer}/.well-known/openid-configuration",
        }  # fmt: skip
        return "[auth]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())

    def metadata(self) -> dict[str, object]:
        """As the standard names it (OpenID Connect Discovery 1.0)."""
        return {
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
        }  # fmt: skip

    def page(self, asked: dict[str, str]) -> str:
        """A link a person, each with a code of its own."""
        links = ""
        for name in self.people:
            code = secrets.token_urlsafe(16)
            self.codes[code] = {**asked, "person": name}
            to = f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"
            links += f'<p><a href="{escape(to)}">{escape(name)}</a></p>'
        return f"<!doctype html><title>Provider</title><h1>Who are you?</h1>{links}"

    def tokens(self, given: dict[str, str]) -> dict[str, object] | None:
        """What a code is worth, once, to whoever asked for it and still knows what they did not tell."""
        asked = self.codes.pop(given.get("code", ""), None)
        verifier = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
        if asked is None or asked["redirect_uri"] != given.get("redirect_uri") or asked["code_challenge"] != challenge:
            self.refused.append(given.get("code", ""))
            return None
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": asked["person"], "iat": now, "exp": now + 600}
        claims |= {"nonce": asked["nonce"], **self.people[asked["person"]]}
        token = jwt.encode({"alg": "RS256", "kid": "test"}, claims, self.key)
        return {"access_token": secrets.token_hex(8), "token_type": "Bearer", "expires_in": 600, "id_token": token}


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        provider: OidcProvider = self.server.provider  # type: ignore[attr-defined]
        if url.path == "/.well-known/openid-configuration":
            self._send(json.dumps(provider.metadata()), "application/json")
        elif url.path == "/jwks":
            self._send(json.dumps({"keys": [provider.key.as_dict(private=False)]}), "application/json")
        elif url.path == "/authorize":
            self._send(provider.page({k: v[-1] for k, v in parse_qs(url.query).items()}), "text/html; charset=utf-8")
        else:
            self._send("", "text/plain", 404)

    def do_POST(self) -> None:
        given = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        known = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        right = self.headers.get("Authorization") == f"Basic {known}"
        provider: OidcProvider = self.server.provider  # type: ignore[attr-defined]
        found = provider.tokens({k: v[-1] for k, v in given.items()}) if right else None
        self._send(json.dumps(found or {"error": "invalid_grant"}), "application/json", 200 if found else 400)

    def _send(self, text: str, kind: str, status: int = 200) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
