"""All that the studio keeps of a person, as ZIPs to take away: every picture, and the records in plain JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.accounts.accounts import Accounts
from services.accounts.preferences import PreferenceBook
from services.billing.ledger import Ledger
from services.clock import now
from services.exports.orders import MOST_BYTES, MOST_OPEN, MOST_PICTURES, Exports, ExtraFile
from services.exports.records import Export
from services.images.albums import Albums
from services.images.shares import Shares
from services.prompts.book import PromptBook
from services.records import Record, User
from services.search.query import PictureQuery
from services.search.search import Search
from services.store.jobs import JobStore

# Twenty thousand jobs and more; what is left out is said in the ZIP.
MOST_JOBS_BYTES = 24 * 1024 * 1024
READ_ME = """All that the studio keeps of {email}, as of {moment} UTC.

pictures/        your pictures, each with its prompt and settings inside; manifest.json and manifest.csv list them
records/account.json      who you are here, your preferences, limits, API keys (never their secrets) and shared links
records/jobs.jsonl        your jobs, the newest first, one JSON object a line{cut}
records/prompts.json      your lists, templates and starred prompts
records/albums.json       your albums and the ids of their pictures

Not in here: pictures in the trash (restore them first), and what you drew over (kept for 30 days only).
{parts}"""


@dataclass(frozen=True)
class TakeAway:
    """The ZIPs that were ordered, and how many of the oldest pictures did not fit into as many as may be open."""

    exports: tuple[Export, ...]
    left_out: int


class PersonalData:
    """Orders them; `exports` makes them, says how far they are, and keeps them for two days."""

    def __init__(
        self,
        exports: Exports,
        store: JobStore,
        accounts: Accounts,
        ledger: Ledger,
        library: tuple[Search, Albums, PromptBook, PreferenceBook, Shares],
    ) -> None:
        self._exports = exports
        self._store = store
        self._accounts = accounts
        self._ledger = ledger
        self._search, self._albums, self._prompts, self._preferences, self._shares = library

    def order(self, user: User) -> TakeAway:
        """Orders ZIPs of everything, ten thousand pictures each, the records in the first.

        Reads all of the user's jobs: one AWS call for each 1,000, two for each album, and a dozen. Raises LimitReached
        when as many ZIPs are open or kept as may be; nothing is ordered then.
        """
        ids, total, size_bytes = self._search.ids(user, PictureQuery(), most=MOST_OPEN * MOST_PICTURES)
        # Of even size, as far as is known beforehand.
        parts = max(1, -(-len(ids) // MOST_PICTURES), -(-size_bytes // MOST_BYTES))
        taken = min(parts, MOST_OPEN)
        each = -(-len(ids) // parts) if ids else 0
        portions = [ids[n * each : (n + 1) * each] for n in range(taken)]
        left_out = total - sum(len(portion) for portion in portions)
        self._exports.check_room(user, len(portions))
        ordered = []
        for n, portion in enumerate(portions):
            ordered.append(
                self._exports.order(
                    user,
                    portion,
                    size_bytes=size_bytes // parts,
                    settings=True,
                    extras=self._records(user, len(portions), left_out) if n == 0 else (),
                )
            )
        return TakeAway(tuple(ordered), left_out)

    def _records(self, user: User, parts: int, left_out: int) -> tuple[ExtraFile, ...]:
        jobs, cut = _lines(self._store.every(user.id))
        words = [f"This is part 1 of {parts}; the others hold older pictures."] if parts > 1 else []
        if left_out:
            words.append(
                f"Your {left_out:,} oldest pictures are in none: choose them in the gallery, by their days."
            )
        read_me = READ_ME.format(
            email=user.email,
            moment=f"{now():%d %b %Y, %H:%M}",
            cut=f"; the oldest did not fit into {MOST_JOBS_BYTES // 1024**2} MB" if cut else "",
            parts="\n".join(words),
        )
        account = {
            "email": user.email,
            "name": user.name,
            "role": user.role,
            "preferences": _plain(self._preferences.get(user)),
            "usage": _plain(self._ledger.usage(user)),
            "api_keys": [_plain(key) for key in self._accounts.keys(user)],
            "shared_links": [_plain(share) for share in self._shares.list(user)],
        }
        prompts = {
            "lists": [_plain(each) for each in self._prompts.lists(user)],
            "templates": [_plain(each) for each in self._prompts.templates(user)],
            "starred": list(self._prompts.stars(user)),
        }
        albums = [
            _plain(album)
            | {"pictures": self._search.ids(user, PictureQuery(album=album.id), most=MOST_PICTURES)[0]}
            for album in self._albums.list(user)
        ]
        return (
            ExtraFile("README.txt", read_me.encode("utf-8")),
            ExtraFile("records/account.json", _json(account)),
            ExtraFile("records/jobs.jsonl", jobs),
            ExtraFile("records/prompts.json", _json(prompts)),
            ExtraFile("records/albums.json", _json(albums)),
        )


def _lines(records: Iterable[Record]) -> tuple[bytes, bool]:
    """One JSON object a line, as many as fit; and whether some did not."""
    lines: list[bytes] = []
    size_bytes = 0
    for record in records:
        line = record.model_dump_json(exclude_none=True).encode("utf-8") + b"\n"
        size_bytes += len(line)
        if size_bytes > MOST_JOBS_BYTES:
            return b"".join(lines), True
        lines.append(line)
    return b"".join(lines), False


def _plain(record: Record) -> dict[str, Any]:
    return record.model_dump(mode="json")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8")
