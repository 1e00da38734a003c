"""How a capability declares its personal data: which records, how they are erased, and what a person's export contains.

Each capability has a `kept_data.py`; `services/build.py` registers them, and `services/privacy` works with all that are
registered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from services.records import Job, User

# Texts that several capabilities share.
ACCOUNT_FILE = "records/account.json"


@dataclass(frozen=True)
class Erased:
    """The number of erased objects and records of each type, for the receipt."""

    jobs: int = 0
    images: int = 0
    objects: int = 0
    texts: int = 0
    shares: int = 0

    def __add__(self, other: Erased) -> Erased:
        sums = {each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)}
        return Erased(**sums)


def _no_objects() -> int:
    return 0


@dataclass(frozen=True)
class ErasureSteps:
    """One capability's part in an erasure. The objects of all capabilities go before the records of any, so that a
    crash leaves the records that lead to what is left; `objects` runs again at the end, and must find nothing then.

    `objects` returns how many went. Both are safe to repeat.
    """

    objects: Callable[[], int] = _no_objects
    records: Callable[[], Erased] = Erased


@dataclass(frozen=True)
class TakenAway:
    """What "all my data" has from one capability: a file's bytes, or what becomes JSON in the file of that name. The
    objects of several capabilities become one.

    `about` says what it is, in the ZIP's README; what is said of one file becomes one line.
    """

    file: str
    about: tuple[str, ...]
    content: bytes | Mapping[str, Any] | list[Any]


class KeptData:
    """What one capability keeps of people. This one keeps nothing: a capability overrides what it needs.

    `kinds` are the sort-key prefixes of those records in a person's partition that it erases when everything is
    erased (see `services/store/kinds.py`). `not_taken_away` says what a person does not find in "all my data", and why.
    """

    kinds: frozenset[str] = frozenset()
    not_taken_away: tuple[str, ...] = ()

    def begin_erasing(self, user_id: str) -> ErasureSteps:
        """Marks all of the user's data for erasure, and returns the steps that erase it."""
        return ErasureSteps()

    def begin_erasing_job(self, job: Job) -> ErasureSteps:
        """Marks all data of one ended job for erasure, and returns the steps that erase it."""
        return ErasureSteps()

    def take_away(self, user: User) -> tuple[TakenAway, ...]:
        """Returns the user's data besides pictures; never a secret."""
        return ()
