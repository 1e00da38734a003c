"""`python -m services.commands.rebuild_search USER ...`: rebuilds the search indexes of these users (32 hex digits).

Nothing needs it in daily life, since a missing or broken index is rebuilt when it is found; use it after a
restored backup, or when what is indexed has changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from services.build import Studio, build
from services.logs import configure
from services.settings import SettingsError, load_settings
from services.store import keys


def rebuild(studio: Studio, users: Sequence[str]) -> int:
    """Rebuilds the indexes; returns their number. One AWS call for each 1,000 pictures, and about seven per user."""
    made = 0
    for user_id in users:
        # A faster concurrent merge used the old index.
        while not studio.search_index.fold(user_id, rebuild=True):
            pass
        made += 1
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 2 if the settings or a user id are unusable."""
    parser = argparse.ArgumentParser(prog="python -m services.commands.rebuild_search", description=__doc__)
    parser.add_argument("users", nargs="+", metavar="USER")
    users = parser.parse_args(arguments).users
    try:
        for user_id in users:
            keys.user_pk(user_id)
        settings = load_settings()
    except (SettingsError, ValueError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    configure(settings.log_level)
    studio = build(settings)
    rebuild(studio, users)
    studio.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
