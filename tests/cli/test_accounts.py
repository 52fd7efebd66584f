from __future__ import annotations

import json

from tale_core.access.accounts import FILE, Accounts
from tale_core.cli.main import main
from tale_core.settings import get_settings


def test_accounts_are_made_listed_and_removed_and_no_password_is_kept(monkeypatch, capsys):
    monkeypatch.setenv("HERS", "correct horse battery")
    assert main(["accounts", "add", "Ada", "--password-env", "HERS", "--max-tokens", "5000"]) == 0
    assert main(["accounts", "add", "ben@example.org", "--role", "owner", "--elsewhere"]) == 0
    path = get_settings().data_dir / FILE
    assert path.stat().st_mode & 0o777 == 0o600 and "correct horse" not in path.read_text()
    capsys.readouterr()
    assert main(["accounts", "list", "--json"]) == 0
    ada, ben = json.loads(capsys.readouterr().out)["accounts"]
    assert ada == {"name": "Ada", "role": "member", "password": True, "usd": None, "tokens": 5000}
    assert (ben["role"], ben["password"]) == ("owner", False)
    assert Accounts(get_settings().data_dir).is_password("Ada", "correct horse battery")
    assert main(["accounts", "remove", "Ada"]) == 0 and main(["accounts", "remove", "Ada"]) == 2
    assert main(["accounts", "audit", "--json"]) == 0


def test_a_bad_account_is_exit_2_and_a_damaged_file_is_said(capsys, monkeypatch):
    assert main(["accounts", "add", "Ada", "--role", "boss", "--elsewhere"]) == 2
    assert main(["accounts", "add", "Ada", "--password-env", "NOT_SET"]) == 2
    monkeypatch.setattr("getpass.getpass", lambda prompt: (_ for _ in ()).throw(EOFError))  # No terminal, no input.
    assert main(["accounts", "add", "Ada"]) == 2 and "--password-env" in capsys.readouterr().err
    path = get_settings().data_dir / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"Ada": {"role": "boss"}}')
    assert main(["accounts", "list"]) == 2
    assert "cannot be read" in capsys.readouterr().err
