"""`accounts`: who may sign in to a team's pages, as what, and what they have done."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from dataclasses import asdict
from typing import Any

from tale_core.cli import flags
from tale_core.cli.output import OK, emit, say
from tale_core.errors import InputError


def register(commands: Any) -> None:
    """Add `accounts` with its actions."""
    actions = commands.add_parser("accounts", help="a team's names and passwords, and the audit list").add_subparsers(
        required=True, metavar="ACTION"
    )
    add = actions.add_parser("add", help="make an account, or change one")
    add.add_argument("name", metavar="NAME", help="as it is typed; the e-mail address of who signs in elsewhere")
    add.add_argument("--role", default="member", metavar="ROLE", help="owner, member (default) or student")
    add.add_argument("--password-env", metavar="VAR", help="variable that holds the password; else it is asked for")
    add.add_argument("--elsewhere", action="store_true", help="no password: signs in by OpenID Connect")
    add.add_argument("--max-usd", type=float, metavar="N", help="dollars that may be spent in 30 days")
    add.add_argument("--max-tokens", type=int, metavar="N", help="tokens likewise")
    add.set_defaults(command=run_add)
    listed = actions.add_parser("list", help="every account")
    flags.add_json(listed)
    listed.set_defaults(command=run_list)
    remove = actions.add_parser("remove", help="take an account away; what belongs to it stays, its keys go")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--db", metavar="URL", help="default: the program's database")
    remove.set_defaults(command=run_remove)
    audit = actions.add_parser("audit", help="who did what and when, and what it cost; newest first")
    audit.add_argument("--limit", type=int, default=100, metavar="N", help="default: 100")
    audit.add_argument("--db", metavar="URL", help="default: the program's database")
    flags.add_json(audit)
    audit.set_defaults(command=run_audit)


def run_add(args: argparse.Namespace) -> int:
    """Run `accounts add`."""
    made = _accounts().put(args.name, args.role, _password(args), usd=args.max_usd, tokens=args.max_tokens)
    say(f"{made.name}: {made.role}.", file=sys.stderr)
    return OK


def _password(args: argparse.Namespace) -> str | None:
    if args.elsewhere:
        return None
    if args.password_env is not None:
        if not (found := os.environ.get(args.password_env)):
            raise InputError(f"The variable {args.password_env} is empty or not set.", "Set it, or leave the flag out.")
        return found
    try:
        typed = getpass.getpass(f"Password of {args.name}: ")
        again = getpass.getpass("Once more: ")
    except EOFError:
        raise InputError("No password was typed.", "Type one, or name a variable with --password-env.") from None
    if again != typed:
        raise InputError("The two passwords differ.", "Type the same one twice.")
    return typed


def run_list(args: argparse.Namespace) -> int:
    """Run `accounts list`."""
    rows = [asdict(one) | {"password": one.password is not None} for one in _accounts().all().values()]
    if args.json:
        emit({"accounts": rows})
        return OK
    for row in rows:
        limits = ", ".join(f"{row[name]:,} {name}" for name in ("usd", "tokens") if row[name] is not None)
        say(f"{row['name']}: {row['role']}{f', at most {limits} in 30 days' if limits else ''}")
    return OK


def run_remove(args: argparse.Namespace) -> int:
    """Run `accounts remove`: whoever is given the name later has none of its keys, and sees nothing that was shared."""
    from tale_core.store import open_store

    _accounts().remove(args.name)
    open_store(args.db).forget_person(args.name)
    return OK


def run_audit(args: argparse.Namespace) -> int:
    """Run `accounts audit`."""
    from tale_core.store import deeds, open_store

    found = deeds(open_store(args.db), limit=args.limit)
    if args.json:
        emit({"deeds": [one._asdict() | {"at": one.at.isoformat()} for one in found]})
        return OK
    for one in found:
        cost = f"  {one.tokens:,} tokens, {one.usd:.4f} USD" if one.tokens else ""
        say(f"{one.at:%Y-%m-%d %H:%M:%S}  {one.account or 'the owner'}  {one.action}  {one.about}{cost}")
    return OK


def _accounts() -> Any:
    from tale_core.access.accounts import Accounts
    from tale_core.settings import get_settings

    return Accounts(get_settings().data_dir)
