"""`python -m services.commands.revoke_access PERSON ...`: revokes all API keys and sessions of people who leave.

PERSON is an e-mail address, a username (AUTH_MODE=local), or an id: a UUID or 32 hex digits. Disable or delete the
person in the user pool first; otherwise they can sign in again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from services.build import build
from services.errors import StudioError
from services.logs import configure
from services.settings import SettingsError, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 2 when the settings, or one of the people, cannot be used; the others are revoked."""
    parser = argparse.ArgumentParser(prog="python -m services.commands.revoke_access", description=__doc__)
    parser.add_argument("people", nargs="+", metavar="PERSON")
    people = parser.parse_args(arguments).people
    try:
        settings = load_settings()
    except SettingsError as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    configure(settings.log_level)
    studio, code = build(settings), 0
    for person in people:
        try:
            count = studio.leavers.revoke(person)
            sys.stdout.write(f"{person}: every session ended, {count} keys revoked\n")
        except StudioError as exc:
            sys.stderr.write(f"{person}: {exc}\n")
            code = 2
    studio.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
