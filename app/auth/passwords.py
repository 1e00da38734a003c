"""Checks a user name and a password against the studio's own list of users."""

from __future__ import annotations

from collections.abc import Mapping

from streamlit_authenticator.utilities import Hasher

from services.accounts.local_users import LocalUser

# Of a password that nobody knows, as costly to check as any: how long an answer takes does not tell who exists.
NOBODY = "$2b$12$lQ9UfNcTtXmXELEI5JYJku1hUaExWG/PkF/tbqxpXu8MSg5swCHGO"


def find_user(users: Mapping[str, LocalUser], username: str, password: str) -> LocalUser | None:
    """The one of `users` whose name and password these are, None without one. Takes a quarter of a second of a core.

    Upper and lower case of the name are the same; spaces around either are left out.
    """
    wanted = username.strip().lower()
    user = next((user for name, user in users.items() if name.lower() == wanted), None)
    try:
        matches = bool(Hasher.check_pw(password.strip(), NOBODY if user is None else user.password_hash))
    except ValueError:
        # Longer than bcrypt reads, or with a NUL: no password of ours is.
        return None
    return user if matches else None
