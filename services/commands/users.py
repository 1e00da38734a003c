"""Manages the users of an installation without Cognito: `python -m services.commands.users add NAME ...`."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence

from services.accounts.accounts import Accounts
from services.accounts.local_users import LocalUsers
from services.aws.session import make_clients
from services.aws.table import Table
from services.errors import StudioError
from services.records import Role
from services.settings import Settings, SettingsError, load_settings
from services.store.api_keys import ApiKeyStore
from services.store.logins import LoginStore
from services.store.profiles import ProfileStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; exit code 2 for unusable settings or input."""
    parser = argparse.ArgumentParser(prog="python -m services.commands.users", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="add a user; asks for the password")
    add.add_argument("username")
    add.add_argument("--email", required=True)
    add.add_argument("--name", default="")
    add.add_argument("--role", choices=[role.value for role in Role], default=Role.MAKER.value)
    for name, text in (("password", "set a new password"), ("remove", "take the login away")):
        commands.add_parser(name, help=text).add_argument("username")
    role = commands.add_parser("role", help="give a user another role")
    role.add_argument("username")
    role.add_argument("role", choices=[role.value for role in Role])
    commands.add_parser("list", help="show all users")
    options = parser.parse_args(arguments)
    try:
        return _run(_local_users(load_settings()), options)
    except (SettingsError, StudioError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 2


def _local_users(settings: Settings) -> LocalUsers:
    table = Table(make_clients(settings).dynamodb, settings.table)
    profiles = ProfileStore(table)
    return LocalUsers(LoginStore(table), profiles, Accounts(profiles, ApiKeyStore(table)))


def _run(users: LocalUsers, options: argparse.Namespace) -> int:
    if options.command == "add":
        user = users.add(
            options.username,
            email=options.email,
            name=options.name,
            password=_ask_password(),
            role=Role(options.role),
        )
        _say(f"added {user.username} as {user.role}")
    elif options.command == "password":
        users.set_password(options.username, _ask_password())
        _say(f"{options.username} has a new password")
    elif options.command == "role":
        users.set_role(options.username, Role(options.role))
        _say(f"{options.username} is {options.role} from the next page on")
    elif options.command == "remove":
        users.remove(options.username)
        _say(f"{options.username} can no longer sign in")
    else:
        for user in users.all().values():
            _say(f"{user.username}\t{user.role}\t{user.email}\t{user.name}")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _ask_password() -> str:
    """Reads a password twice from the terminal, or one line from a pipe: never from the command line."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise SettingsError("the two passwords differ")
    return password


if __name__ == "__main__":
    sys.exit(main())
