"""The gate in HTTP: which names it answers, which pages may ask, who comes in and as what."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tale_core.access import hosts, policy
from tale_core.access.accounts import Accounts
from tale_core.access.gate import TRIES, TRIES_S, own_path
from tale_core.access.keys import FILE, KEPT_S, load_keys
from tale_core.errors import SettingsError
from tests.access.asked import OWN, Server

PASSWORD = "correct horse battery"


@pytest.mark.parametrize(
    "host",
    [OWN, "127.0.0.1", "localhost:8501", "LOCALHOST", "a.localhost", "[::1]:8501", "192.168.1.7:8501", "10.0.0.1."],
)
def test_loopback_and_addresses_in_digits_are_answered(host):
    assert Server().ask(host=host).passed
    assert Server().ask("/_stcore/stream", host=host, websocket=True).passed


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8501", "127.0.0.1.evil.example", "127.0.0.1.nip.io", "localhost.evil.example",
        "notlocalhost", "", "user@127.0.0.1", "127.0.0.1/x", "127.0.0.1:port", "2130706433", "0x7f.1", "[::1", "a b",
    ],
)  # fmt: skip
def test_a_foreign_name_that_points_here_is_refused_for_pages_and_websockets(host):
    assert Server().ask(host=host).status == 421
    assert not Server().ask("/_stcore/stream", host=host, websocket=True).passed


def test_names_that_were_named_are_answered_and_star_means_all():
    server = Server(allowed_hosts="tale.example.org, *.lab.example.org")
    assert server.ask(host="Tale.Example.org:443").passed and server.ask(host="a.lab.example.org").passed
    assert server.ask(host="lab.example.org").status == 421
    assert server.ask(host="xlab.example.org").status == 421
    assert Server(allowed_hosts="*").ask(host="anything.example").passed


def test_a_server_that_others_reach_goes_by_the_machines_own_name(monkeypatch):
    monkeypatch.setattr(hosts.socket, "gethostname", lambda: "Desk.uni.example")
    assert hosts.own_names() == {"desk.uni.example", "desk.local"}
    assert Server("0.0.0.0", access="class").ask(host="desk.local:8501").passed
    assert Server("127.0.0.1").ask(host="desk.local:8501").status == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:9999", "http://localhost:8501", "null", "x"]
)
def test_another_origin_gets_neither_a_page_nor_a_websocket(origin):
    # A page of another port of this machine is another program's.
    assert Server().ask(origin=origin).status == 403
    assert not Server().ask("/_stcore/stream", origin=origin, websocket=True).passed
    assert Server().ask(method="POST", origin=origin).status == 403


def test_our_own_origin_passes_and_so_does_one_behind_a_proxy_that_was_named():
    assert Server().ask("/_stcore/stream", origin=f"http://{OWN}", websocket=True).passed
    server = Server(allowed_hosts="tale.example.org")
    assert server.ask("/_stcore/stream", origin="https://tale.example.org", websocket=True).passed


@pytest.mark.parametrize(
    ("site", "mode", "dest", "passes"),
    [
        ("none", "navigate", "document", True),
        ("same-origin", "cors", "empty", True),
        ("same-origin", "navigate", "iframe", True),
        ("cross-site", "navigate", "document", True),
        ("cross-site", "navigate", "iframe", False),
        ("cross-site", "navigate", "frame", False),
        ("cross-site", "no-cors", "image", False),
        ("same-site", "cors", "empty", False),
        ("same-site", "navigate", "iframe", False),
        ("cross-site", "navigate", "embed", False),
    ],
)
def test_another_site_may_send_a_person_here_and_neither_frame_nor_fetch(site, mode, dest, passes):
    answer = Server().ask(sec_fetch_site=site, sec_fetch_mode=mode, sec_fetch_dest=dest)
    assert answer.passed == passes
    assert not Server().ask(method="POST", sec_fetch_site="cross-site", sec_fetch_mode=mode, sec_fetch_dest=dest).passed


# Alone


def test_alone_on_loopback_nobody_signs_in():
    assert Server().ask().passed
    assert Server().policy.asker({}, None).role == "owner"


def test_where_others_work_on_the_machine_the_owner_comes_by_the_link_and_stays(monkeypatch):
    monkeypatch.setattr(policy, "others_here", lambda: True)
    server, jar = Server(owner_token="auto"), {}
    assert server.ask().status == 401 and not server.ask("/_stcore/stream", websocket=True).passed
    assert server.ask("/_stcore/upload_file/x", method="PUT").status == 401
    answer = server.ask(f"/Search?token={server.policy.keys.token}&session=a%20b", jar=jar)
    assert (answer.status, answer.header("location")) == (303, "/Search?session=a+b")
    assert "httponly" in answer.header("set-cookie").lower() and "samesite=lax" in answer.header("set-cookie").lower()
    assert server.ask(jar=jar).passed and server.ask("/_stcore/stream", jar=jar, websocket=True).passed
    assert Server(owner_token="off").ask().passed, "the setting switches it off"


@pytest.mark.parametrize("given", ["", "x", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")])
def test_a_wrong_token_opens_nothing_and_sets_no_cookie(given):
    answer = Server(owner_token="on").ask(f"/?token={given}x")
    assert answer.status == 403 and not answer.cookies


def test_a_server_on_more_than_loopback_asks_for_the_link_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(policy, "others_here", lambda: False)
    assert Server("0.0.0.0", owner_token="auto").ask().status == 401
    assert Server(None, owner_token="auto").ask().status == 401
    assert Server("127.0.0.1", owner_token="auto").ask().passed
    assert Server("0.0.0.0", owner_token="off").ask().passed


def test_the_secret_is_this_accounts_alone_and_a_new_one_ends_every_link(tmp_path):
    keys = load_keys(tmp_path)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert load_keys(tmp_path).token == keys.token, "a restart keeps it"
    (tmp_path / FILE).unlink()
    again = load_keys(tmp_path)
    assert again.token != keys.token
    assert again.account_of(keys.signed("", "link"), lambda _: "link") is None
    (tmp_path / FILE).write_text("c2hvcnQ=")
    with pytest.raises(SettingsError, match="too short"):
        load_keys(tmp_path)


def test_a_signed_in_browser_is_forgotten_after_a_month_and_another_password():
    keys = Server().policy.keys
    kept = keys.signed("Ada", "hash", now=1000)
    assert keys.account_of(kept, lambda _: "hash", now=1000 + KEPT_S) == "Ada"
    assert keys.account_of(kept, lambda _: "hash", now=1001 + KEPT_S) is None
    assert keys.account_of(kept, lambda _: "other", now=1000) is None
    assert keys.account_of(kept, lambda _: None, now=1000) is None
    for bad in ("", ".", "..", kept + "x", kept[1:], f"{kept.split('.')[0]}.9.x", "é.1.x", "=.x.x"):
        assert keys.account_of(bad, lambda _: "hash", now=1000) is None


def test_the_health_check_is_answered_to_anybody():
    assert Server(owner_token="on").ask("/_stcore/health", host="evil.example").passed


def test_every_browser_gets_a_cookie_that_tells_it_from_others():
    server, jar = Server(), {}
    server.ask(jar=jar)
    (kept,) = jar.values()
    assert server.policy.asker(jar, None).browser == kept
    assert server.ask(jar=jar).cookies == {}, "once"
    assert server.ask(accept="image/png").cookies == {}
    assert server.ask("/static/x.js", accept="*/*").cookies == {} and server.ask(accept="*/*").cookies != {}
    other = {}
    server.ask(jar=other)
    assert other != jar
    assert server.policy.asker({server.policy.browser_cookie: "x" * 31}, None).browser is None


# A class


def test_in_a_class_everybody_is_a_student_and_the_owner_comes_by_the_link():
    server, jar = Server("0.0.0.0", access="class"), {}
    assert server.ask(client="192.168.1.50").passed
    student = server.policy.asker({}, "192.168.1.50")
    assert (student.role, student.address) == ("student", "192.168.1.50")
    assert server.policy.asker({}, "127.0.0.1").role == "student", "who sits at the machine too"
    server.ask(f"/?token={server.policy.keys.token}", jar=jar)
    assert server.policy.asker(jar, None).role == "owner"


# A team


@pytest.fixture
def team() -> Server:
    server = Server("0.0.0.0", access="team")
    server.policy.accounts.put("Ada", "member", PASSWORD)
    return server


def signed_in(server: Server, name: str, password: str, **more: str):
    return server.ask("/_tale/sign-in", method="POST", body=f"name={name}&password={password}&next=/Search", **more)


def test_in_a_team_a_stranger_is_asked_to_sign_in_and_nothing_else_answers(team):
    answer = team.ask("/Label?annotator=Ada")
    assert answer.status == 401 and 'name="password"' in answer.body and "/Label?annotator=Ada" in answer.body
    assert not team.ask("/_stcore/stream", websocket=True).passed
    for path in ("/static/js/index.js", "/media/x.png", "/_stcore/upload_file/a"):
        assert not team.ask(path, accept="*/*").passed


def test_a_name_and_its_password_sign_in_and_another_password_ends_it(team):
    assert signed_in(team, "Ada", "wrong password").status == 403
    jar: dict[str, str] = {}
    answer = team.ask("/_tale/sign-in", method="POST", body=f"name=Ada&password={PASSWORD}&next=/Search", jar=jar)
    assert (answer.status, answer.header("location")) == (303, "/Search")
    asker = team.policy.asker(jar, None)
    assert (asker.role, asker.account) == ("member", "Ada") and team.ask(jar=jar).passed
    team.policy.accounts.put("Ada", "owner", None)
    assert team.policy.asker(jar, None).role == "owner", "a role changes at once"
    team.policy.accounts.put("Ada", "member", PASSWORD + "!")
    assert team.policy.asker(jar, None).role == "stranger"


def test_a_removed_account_is_a_stranger_at_once(team):
    jar: dict[str, str] = {}
    team.ask("/_tale/sign-in", method="POST", body=f"name=Ada&password={PASSWORD}", jar=jar)
    team.policy.accounts.remove("Ada")
    assert team.policy.asker(jar, None).role == "stranger"


def test_the_tenth_wrong_password_from_an_address_is_the_last_for_five_minutes(team, monkeypatch):
    monkeypatch.setattr(Accounts, "is_password", lambda self, name, given: given == PASSWORD)  # Argon2 is slow.
    for _ in range(TRIES):
        assert signed_in(team, "Nobody", "x").status == 403
    assert signed_in(team, "Ada", PASSWORD).status == 429
    assert signed_in(team, "Ada", PASSWORD, client="10.0.0.9").status == 303, "others are not locked out"
    team.now += TRIES_S
    assert signed_in(team, "Ada", PASSWORD).status == 303


@pytest.mark.parametrize(
    ("tried", "asks", "status"),
    [
        ("2001:db8:1:2:{i:x}::1", "2001:db8:1:2:ffff::9", 429), ("2001:db8:1:2:{i:x}::1", "2001:db8:1:3::9", 303),
        ("fe80::{i:x}%eth0", "fe80::ffff%eth1", 429), ("10.0.0.{i}", "10.0.0.99", 303),
        ("::ffff:10.0.0.7", "10.0.0.7", 429),
    ],
)  # fmt: skip
def test_a_network_of_addresses_is_no_network_of_tries(team, monkeypatch, tried, asks, status):
    monkeypatch.setattr(Accounts, "is_password", lambda self, name, given: given == PASSWORD)
    for i in range(TRIES):
        assert signed_in(team, "Ada", "x", client=tried.format(i=i)).status == 403
    assert signed_in(team, "Ada", PASSWORD, client=asks).status == status


@pytest.mark.parametrize("typed", ["Zo\u00eb%20K.", "Zoe\u0308%20K.", "%20Zo\u00eb%20%20K.%20"])
def test_a_name_is_the_same_however_its_letters_and_spaces_are_typed(team, typed):
    team.policy.accounts.put("Zo\u00eb K.", "member", PASSWORD)
    jar: dict[str, str] = {}
    body = f"name={quote(typed, safe='%')}&password={quote(PASSWORD)}"
    assert team.ask("/_tale/sign-in", method="POST", body=body, jar=jar).status == 303
    assert team.policy.asker(jar, None).account == "Zo\u00eb K."


@pytest.mark.parametrize("body", ["&".join(f"f{i}=1" for i in range(50)), "name=Ada&next=//[&password=x", "%00&&&="])
def test_a_form_of_rubbish_signs_nobody_in_and_breaks_nothing(team, body):
    assert team.ask("/_tale/sign-in", method="POST", body=body).status == 403


@pytest.mark.parametrize("path", ["/_tale/sign-in?next=//[", "/x?next=//[&lang=zh", "//[", "///[x?a=[", "/[//["])
def test_an_address_that_cannot_be_read_leads_to_the_first_page(team, path):
    assert team.ask(path).status in (200, 401)


@pytest.mark.parametrize("path", ["/x/_stcore/health", "/_stcore/health/", "/media/_stcore/health", "/_stcore/HEALTH"])
def test_nothing_that_ends_like_a_look_at_the_health_passes_for_one(path):
    server = Server(owner_token="on")
    assert server.ask(path).status == 401 and server.ask(path, host="evil.example").status == 421
    assert not server.ask("/_stcore/health", websocket=True).passed


def test_a_form_of_another_site_signs_nobody_in(team):
    assert signed_in(team, "Ada", PASSWORD, origin="http://evil.example").status == 403


def test_signing_out_forgets_the_browser(team):
    answer = team.ask("/_tale/sign-out")
    assert answer.status == 303 and "max-age=0" in answer.header("set-cookie").lower()


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil.example", "x", "", "javascript:x", "//[", "http://[x"]
)
def test_after_signing_in_nobody_is_sent_elsewhere(path):
    assert own_path(path) == "/"


def test_the_link_of_the_start_makes_the_first_owner_of_a_team(team):
    jar: dict[str, str] = {}
    team.ask(f"/?token={team.policy.keys.token}", jar=jar)
    assert team.policy.asker(jar, None).role == "owner"


def test_who_signs_in_elsewhere_passes_to_the_page_that_asks(team):
    server = Server(access="team", elsewhere=True)
    assert server.ask("/_stcore/stream", websocket=True).passed and server.policy.asker({}, None).role == "stranger"
    server.policy.accounts.put("ada@example.org", "member", None)
    stranger = server.policy.asker({}, None)
    assert server.policy.named("ada@example.org", stranger).role == "member"
    assert server.policy.named("eve@example.org", stranger) is None
