"""Every kind of record in a person's partition, and whether an erasure removes it.

`services/privacy` refuses to start if nothing erases a kind that must be erased, and a test finds kinds in the source
that are missing here.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.store import keys


@dataclass(frozen=True)
class Kind:
    """Records whose sort key begins with `prefix`, or is `prefix` when that does not end in `#`.

    `with_job`: erased together with their job. `kept_because`: why "erase everything" leaves them; empty for those
    that it erases.
    """

    prefix: str
    with_job: bool = False
    kept_because: str = ""

    @property
    def erased(self) -> bool:
        """Whether erasing everything removes this kind."""
        return not self.kept_because


KINDS = (
    Kind(keys.JOB, with_job=True),
    Kind(keys.IDEMPOTENCY),
    Kind(keys.SAME, with_job=True),
    Kind(keys.DRAFTS, with_job=True),
    Kind(keys.IMAGE, with_job=True),
    Kind(keys.TRASH, with_job=True),
    Kind(keys.ATTACHED, with_job=True),
    Kind(keys.ALBUM),
    Kind(keys.LIST),
    Kind(keys.TEMPLATE),
    Kind(keys.PROMPT),
    Kind(keys.EXPORT),
    Kind(keys.SEARCH, kept_because="it is emptied: it holds the number of the index's version and no words"),
    Kind(
        keys.CHANGED, kept_because="it holds ids only, and goes when the worker has cleared the search index"
    ),
    Kind(keys.TOMBSTONE, kept_because="it holds ids only, keeps late copies from coming back, and expires"),
    Kind(keys.PROFILE, kept_because="the account stays: its maker goes on drawing"),
    Kind(keys.PREFERENCES, kept_because="the account stays: its maker goes on drawing"),
    Kind(keys.API_KEY, kept_because="the account stays: its maker revokes keys one by one"),
    Kind(
        keys.ENDED,
        kept_because="it keeps a session signed out, and expires when the session would have ended",
    ),
    Kind(keys.ENTRY, kept_because="it holds ids only, and goes when its job no longer waits"),
    Kind(keys.HEAD, kept_because="it says in which lines the maker waits, and nothing about what is drawn"),
    Kind("CHARGE#", kept_because="it says what was spent, and nothing about what was drawn"),
    Kind("SPEND#", kept_because="it says what was spent, and nothing about what was drawn"),
    Kind("QUOTA#", kept_because="it counts pictures, and says nothing about them"),
)
ERASED = frozenset(kind.prefix for kind in KINDS if kind.erased)
