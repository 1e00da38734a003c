"""Exports all data stored about a person as ZIPs: every picture, and the records as plain JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.clock import now
from services.exports.orders import MOST_BYTES, MOST_OPEN, MOST_PICTURES, Exports, ExtraFile
from services.records import User
from services.search.query import PictureQuery
from services.search.search import Search
from services.store.exports import Export
from services.store.kept_data import KeptData, TakenAway

READ_ME = """All that the studio keeps of {email}, as of {moment} UTC.

pictures/        your pictures, each with its prompt and settings inside; manifest.json and manifest.csv list them
{files}

Not in here: {missing}.
{parts}"""


@dataclass(frozen=True)
class TakeAway:
    """The ordered ZIPs, and how many of the oldest pictures exceeded the number of ZIPs that may be open."""

    exports: tuple[Export, ...]
    left_out: int


class PersonalData:
    """Orders the ZIPs; `exports` makes them, reports their progress, and keeps them for two days.

    The records come from the registered capabilities; this code depends on none of them.
    """

    def __init__(self, exports: Exports, search: Search, kept: Sequence[KeptData]) -> None:
        self._exports = exports
        self._search = search
        self._kept = kept

    def order(self, user: User, *, decimal_comma: bool = False) -> TakeAway:
        """Orders ZIPs of everything, ten thousand pictures each, with the records in the first; `decimal_comma` as in
        `Exports.order`.

        Reads all of the user's jobs: one AWS call per 1,000, two per album, and a dozen. Raises LimitReached without
        ordering anything when the maximum number of ZIPs is already open or kept.
        """
        ids, total, size_bytes = self._search.ids(user, PictureQuery(), most=MOST_OPEN * MOST_PICTURES)
        # Equal parts, as far as sizes are known in advance.
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
                    decimal_comma=decimal_comma,
                    extras=self._records(user, len(portions), left_out) if n == 0 else (),
                )
            )
        return TakeAway(tuple(ordered), left_out)

    def _records(self, user: User, parts: int, left_out: int) -> tuple[ExtraFile, ...]:
        by_file: dict[str, list[TakenAway]] = {}
        for kept in self._kept:
            for taken in kept.take_away(user):
                by_file.setdefault(taken.file, []).append(taken)
        words = [f"This is part 1 of {parts}; the others hold older pictures."] if parts > 1 else []
        if left_out:
            words.append(
                f"Your {left_out:,} oldest pictures are in none: choose them in the gallery, by their days."
            )
        read_me = READ_ME.format(
            email=user.email,
            moment=f"{now():%d %b %Y, %H:%M}",
            files="\n".join(f"{name:<26}{_about(taken)}" for name, taken in by_file.items()),
            missing=_listed([said for kept in self._kept for said in kept.not_taken_away]),
            parts="\n".join(words),
        )
        return (
            ExtraFile("README.txt", read_me.encode("utf-8")),
            *(ExtraFile(name, _content(taken)) for name, taken in by_file.items()),
        )


def _about(taken: Sequence[TakenAway]) -> str:
    return _listed([said for each in taken for said in each.about])


def _listed(words: Sequence[str]) -> str:
    """Join words as an English list: a, b and c."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _content(taken: Sequence[TakenAway]) -> bytes:
    """Return the bytes of a file whose JSON object may come from several capabilities."""
    first = taken[0].content
    if isinstance(first, bytes):
        return first
    if not isinstance(first, Mapping):
        return _json(first)
    whole: dict[str, Any] = {}
    for each in taken:
        if isinstance(each.content, Mapping):
            whole |= each.content
    return _json(whole)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8")
