"""A user's pictures as an in-memory SQLite database with full-text search; runs the queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from services.search.query import Facets, PictureQuery, Shelf, Term, words_of
from services.search.rows import Changes, Row

# Separates tags with a word that no one can type, so that no phrase spans two tags.
BETWEEN = " \ue000 "
SCHEMA = """
CREATE TABLE picture (
  id INTEGER PRIMARY KEY, sk TEXT UNIQUE NOT NULL, made_ms INTEGER NOT NULL, model TEXT NOT NULL,
  rating INTEGER NOT NULL, favorite INTEGER NOT NULL, size_bytes INTEGER NOT NULL
);
CREATE TABLE label (
  kind TEXT NOT NULL, name TEXT NOT NULL, picture INTEGER NOT NULL, PRIMARY KEY (kind, name, picture)
) WITHOUT ROWID;
CREATE INDEX label_picture ON label (picture);
-- The texts come as words already (search_query.words_of); the tokenizer only parts them at spaces.
CREATE VIRTUAL TABLE words USING fts5(prompt, tags, model, tokenize = 'ascii');
"""
ORDERS = {"newest": "sk DESC", "oldest": "sk", "rating": "rating DESC, sk DESC"}
REST = {
    "newest": "sk < :after_sk",
    "oldest": "sk > :after_sk",
    "rating": "(rating, sk) < (:after_rating, :after_sk)",
}


@dataclass(frozen=True)
class Hit:
    """A found picture: its sort key and its file size."""

    sk: str
    rating: int
    size_bytes: int


class SearchTable:
    """One user's pictures. Not thread-safe."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._db.executescript(SCHEMA)

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM picture").fetchone()[0])

    def close(self) -> None:
        """Frees the memory."""
        self._db.close()

    def apply(self, changes: Changes) -> None:
        """Applies changes: new, changed and removed pictures."""
        self._db.execute("BEGIN")
        try:
            if len(self):
                self._remove(list(changes))
            self._add([row for row in changes.values() if row is not None])
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _remove(self, places: Sequence[str]) -> None:
        numbers = [
            (found[0],)
            for sk in places
            if (found := self._db.execute("SELECT id FROM picture WHERE sk = ?", (sk,)).fetchone())
        ]
        self._db.executemany("DELETE FROM words WHERE rowid = ?", numbers)
        self._db.executemany("DELETE FROM label WHERE picture = ?", numbers)
        self._db.executemany("DELETE FROM picture WHERE id = ?", numbers)

    def _add(self, rows: Sequence[Row]) -> None:
        first = int(self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM picture").fetchone()[0])
        numbered = list(enumerate(rows, start=first))
        self._db.executemany(
            "INSERT INTO picture VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (n, row.sk, row.made_ms, row.model, row.rating, row.favorite, row.size_bytes)
                for n, row in numbered
            ),
        )
        self._db.executemany(
            "INSERT INTO label VALUES (?, ?, ?)",
            (
                (kind, name, n)
                for n, row in numbered
                for kind, names in (("tag", row.tags), ("album", row.albums))
                for name in set(names)
            ),
        )
        self._db.executemany(
            "INSERT INTO words (rowid, prompt, tags, model) VALUES (?, ?, ?, ?)",
            (
                (
                    n,
                    " ".join(words_of(row.prompt)),
                    BETWEEN.join(" ".join(words_of(tag)) for tag in row.tags),
                    " ".join(words_of(row.model)),
                )
                for n, row in numbered
            ),
        )

    def count(self, query: PictureQuery, *, after: tuple[int, str] | None = None) -> tuple[int, int]:
        """Return how many pictures match (after a place, if given), and the total bytes of their files."""
        where, values = _where(query, after)
        # Only constant clauses are concatenated here; user input is bound.
        sql = f"SELECT count(*), coalesce(sum(size_bytes), 0) FROM picture WHERE {where}"  # noqa: S608
        number, size_bytes = self._db.execute(sql, values).fetchone()
        return int(number), int(size_bytes)

    def find(
        self, query: PictureQuery, *, limit: int, after: tuple[int, str] | None = None
    ) -> tuple[Hit, ...]:
        """Return the query's first `limit` pictures, or those after the picture with that rating and place."""
        where, values = _where(query, after)
        sql = (
            f"SELECT sk, rating, size_bytes FROM picture WHERE {where} "  # noqa: S608 - as above
            f"ORDER BY {ORDERS[query.sort]} LIMIT :limit"
        )
        return tuple(Hit(*found) for found in self._db.execute(sql, values | {"limit": limit}))

    def facets(self) -> Facets:
        """Return the filter values with counts."""
        by_label = "SELECT name, count(*) FROM label WHERE kind = ? GROUP BY name ORDER BY name"
        by_album = (
            "SELECT name, count(*), max(sk) FROM label JOIN picture ON picture.id = label.picture "
            "WHERE kind = 'album' GROUP BY name ORDER BY name"
        )
        by_model = "SELECT model, count(*) FROM picture GROUP BY model ORDER BY model"
        return Facets(
            total=len(self),
            tags=tuple((name, number) for name, number in self._db.execute(by_label, ("tag",))),
            models=tuple((name, number) for name, number in self._db.execute(by_model)),
            albums=tuple(
                (name, Shelf(number, newest.replace("#", "-")))
                for name, number, newest in self._db.execute(by_album)
            ),
        )


def _where(query: PictureQuery, after: tuple[int, str] | None) -> tuple[str, dict[str, Any]]:
    clauses = ["1"]
    values: dict[str, Any] = {}

    def need(clause: str, **bound: Any) -> None:
        clauses.append(clause)
        values.update(bound)

    labeled = "id IN (SELECT picture FROM label WHERE kind = '{0}' AND name = :{0})"
    if query.model is not None:
        need("model = :model", model=query.model)
    if query.tag is not None:
        need(labeled.format("tag"), tag=query.tag)
    if query.album is not None:
        need(labeled.format("album"), album=query.album)
    if query.favorites:
        need("favorite = 1")
    if query.rating:
        need("rating >= :rating", rating=query.rating)
    if query.since is not None:
        need("made_ms >= :since", since=_begin_ms(query.since))
    if query.until is not None:
        need("made_ms < :until", until=_begin_ms(query.until) + _DAY_MS)
    terms = query.terms()
    said = "id {} (SELECT rowid FROM words WHERE words MATCH :{})"
    if wanted := [_match(term) for term in terms if term.wanted]:
        need(said.format("IN", "wanted"), wanted=" AND ".join(wanted))
    if unwanted := [_match(term) for term in terms if not term.wanted]:
        need(said.format("NOT IN", "unwanted"), unwanted=" OR ".join(unwanted))
    if after is not None:
        need(REST[query.sort], after_rating=after[0], after_sk=after[1])
    return " AND ".join(clauses), values


def _match(term: Term) -> str:
    """Return a term in FTS5 syntax. Words have only letters, digits and marks, so none can end the quotes."""
    return f'"{" ".join(term.words)}"{"" if term.exact else " *"}'


_DAY_MS = round(timedelta(days=1).total_seconds() * 1000)


def _begin_ms(day: date) -> int:
    return round(datetime.combine(day, time(), UTC).timestamp() * 1000)
