"""What browsers are told of every answer."""

from __future__ import annotations

from typing import Any

from ui.headers import StrictHeaders, content_security_policy, headers


async def test_every_answer_has_the_headers_once_and_a_websocket_is_left_alone() -> None:
    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": [(b"X-Frame-Options", b"SAMEORIGIN")]})
        await send({"type": "websocket.accept", "headers": []})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await StrictHeaders(behind)({"type": "http"}, None, send)  # type: ignore[arg-type]
    assert sent[0]["headers"] == [(name.encode(), value.encode()) for name, value in headers().items()]
    assert sent[1]["headers"] == []


def test_the_policy_lets_in_nothing_of_elsewhere_and_nothing_inline_but_what_it_hashes() -> None:
    policy = dict(part.split(" ", 1) for part in content_security_policy(["x = 1"]).split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"].startswith("'self' blob: 'sha256-") and policy["connect-src"] == "'self'"
    values = " ".join(policy.values())
    assert "http" not in values and "*" not in values and "unsafe-eval" not in values
    assert [name for name, value in policy.items() if "unsafe-inline" in value] == ["style-src"]
    # Streamlit's own page has one such script and ours another; the day there is a third, a look at it is due.
    assert headers()["content-security-policy"].count("sha256-") == 2
