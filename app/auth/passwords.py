"""Checks a username and password against the studio's user list."""

from __future__ import annotations

from collections.abc import Mapping

from streamlit_authenticator.utilities import Hasher

from services.accounts.local_users import LocalUser

# The hash of an unknown password: checking it makes response times equal for existing and unknown usernames.
NOBODY = "$2b$12$lQ9UfNcTtXmXELEI5JYJku1hUaExWG/PkF/tbqxpXu8MSg5swCHGO"


# bcrypt reads no further, so no stored password is longer.
MAX_PASSWORD_BYTES = 72


def may_be_right(password: str) -> bool:
    """Whether anybody can have this password: trying any other one guesses nothing."""
    encoded = password.strip().encode()
    return 0 < len(encoded) <= MAX_PASSWORD_BYTES and b"\0" not in encoded


def find_name(users: Mapping[str, LocalUser], username: str) -> LocalUser | None:
    """Returns the user of that name, or None. Case and surrounding spaces do not count."""
    wanted = username.strip().lower()
    return next((user for name, user in users.items() if name.lower() == wanted), None)


def find_user(users: Mapping[str, LocalUser], username: str, password: str) -> LocalUser | None:
    """Returns the matching user of `users`, or None. Takes a quarter of a second of CPU time.

    The name is case-insensitive; surrounding spaces are ignored.
    """
    user = find_name(users, username)
    try:
        matches = bool(Hasher.check_pw(password.strip(), NOBODY if user is None else user.password_hash))
    except ValueError:
        # Longer than bcrypt reads, or with a NUL: such a password is never stored.
        return None
    return user if matches else None
