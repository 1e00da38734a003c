"""The durable queue: stores every accepted request and its result, so that a kill -9 loses none."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from local.sagemaker.wire import AsyncRequest

COUNTERS = ("accepted", "started", "succeeded", "failed", "expired", "cold_starts")
RECENT = 2000
EMPTY_EVERY_S = 60.0

Outcome = Literal["succeeded", "failed", "expired"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS invocation (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    inference_id TEXT NOT NULL,
    received_at REAL NOT NULL,
    request TEXT NOT NULL,
    body BLOB,
    starts INTEGER NOT NULL DEFAULT 0,
    outcome TEXT CHECK (outcome IN ('succeeded', 'failed', 'expired')),
    message TEXT,
    closed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS open_invocations ON invocation (closed, seq);
CREATE TABLE IF NOT EXISTS counter (
    endpoint TEXT NOT NULL,
    name TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (endpoint, name)
);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value REAL NOT NULL);
"""


@dataclass(frozen=True)
class Entry:
    """An open request. `outcome` is set when only its notification (`message`, JSON text) is still to be sent."""

    seq: int
    received_at: float
    request: AsyncRequest
    outcome: Outcome | None = None
    message: str | None = None
    # By the steady clock, which a laptop's sleep or a corrected clock does not move: when it may no longer start.
    expires_at: float = math.inf

    def timed(self) -> Entry:
        """Returns the entry with its `expires_at`, from the time to live that is left by the wall clock now."""
        left_s = self.received_at + self.request.ttl_s - time.time()
        return replace(self, expires_at=time.monotonic() + left_s)


def open_journal(path: Path, now: float, say: Callable[[str], None]) -> Journal:
    """Opens the journal; one that is damaged is moved aside, said, and begun again.

    What was in it is found by the studio's worker: a job without an answer is invoked again or expires.
    """
    try:
        return Journal(path, now)
    except sqlite3.OperationalError:
        raise  # the disk is full, or the file is locked
    except sqlite3.DatabaseError as exc:
        aside = path.with_name(f"{path.name}.damaged-{int(now)}")
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{path}{suffix}", f"{aside}{suffix}")
        say(
            f"the journal of accepted requests was damaged ({exc}) and is now {aside}; jobs that were in it are "
            "drawn again or reported as failed"
        )
        return Journal(path, now)


class Journal:
    """One SQLite file in WAL mode. Every method is one durable transaction, safe to call from any thread.

    All methods raise sqlite3.OperationalError while the disk is full; then nothing has changed.
    """

    def __init__(self, path: Path, now: float) -> None:
        """Opens or makes the file. Raises sqlite3.DatabaseError if it is damaged."""
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        # FULL: an accepted request survives not only a kill but also a power cut.
        self._db.execute("PRAGMA synchronous = FULL")
        # Requests hold prompts: what is removed is overwritten, not only unlinked.
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.executescript(_SCHEMA)
        self._db.execute("INSERT OR IGNORE INTO fact VALUES ('created_at', ?)", (now,))
        row = self._db.execute("SELECT value FROM fact WHERE name = 'created_at'").fetchone()
        [found] = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            self._db.close()
            raise sqlite3.DatabaseError(found)
        self.created_at = float(row[0])
        self._emptied_at = time.monotonic()

    def close(self) -> None:
        """Closes the file; the journal is unusable afterwards."""
        with self._lock:
            self._db.close()

    def accept(self, endpoint: str, received_at: float, request: AsyncRequest) -> Entry:
        """Stores the request durably. After this returns, it will be run or reported in any case."""
        members = asdict(replace(request, body=None))
        with self._transaction() as db:
            cursor = db.execute(
                "INSERT INTO invocation (endpoint, inference_id, received_at, request, body) VALUES (?, ?, ?, ?, ?)",
                (endpoint, request.inference_id, received_at, json.dumps(members), request.body),
            )
            self._count(endpoint, "accepted")
            return Entry(seq=cast(int, cursor.lastrowid), received_at=received_at, request=request)

    def start(self, endpoint: str, seq: int) -> None:
        """Counts one attempt to pass the request to the container."""
        with self._transaction() as db:
            db.execute("UPDATE invocation SET starts = starts + 1 WHERE seq = ?", (seq,))
            self._count(endpoint, "started")

    def decide(self, endpoint: str, seq: int, outcome: Outcome, message: str) -> None:
        """Records the outcome and the notification to send; the request is never run again after this."""
        with self._transaction() as db:
            db.execute(
                "UPDATE invocation SET outcome = ?, message = ?, body = NULL WHERE seq = ?",
                (outcome, message, seq),
            )
            self._count(endpoint, outcome)

    def finish(self, seq: int) -> None:
        """Closes the request once its notification was sent or abandoned, and deletes old entries."""
        with self._transaction() as db:
            db.execute("UPDATE invocation SET closed = 1, message = NULL WHERE seq = ?", (seq,))
            db.execute("DELETE FROM invocation WHERE closed = 1 AND seq <= ?", (seq - RECENT,))
        self._forget_bodies()

    def _forget_bodies(self) -> None:
        """Empties the write-ahead log, which still holds the bodies of decided requests, when nothing is open.

        While requests are open it is emptied once a minute.
        """
        with self._lock:
            busy = self._db.execute("SELECT 1 FROM invocation WHERE closed = 0 LIMIT 1").fetchone()
            now = time.monotonic()
            if busy and now - self._emptied_at < EMPTY_EVERY_S:
                return
            self._emptied_at = now
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def count_cold_start(self, endpoint: str) -> None:
        """Counts one start of the container program."""
        with self._transaction():
            self._count(endpoint, "cold_starts")

    def pending(self, endpoint: str) -> list[Entry]:
        """Return every request that is not closed, in order of arrival."""
        with self._lock:
            rows = self._db.execute(
                "SELECT seq, received_at, request, body, outcome, message FROM invocation "
                "WHERE closed = 0 AND endpoint = ? ORDER BY seq",
                (endpoint,),
            ).fetchall()
        return [
            Entry(
                seq=seq,
                received_at=received_at,
                request=AsyncRequest(**{**json.loads(request), "body": body}),
                outcome=outcome,
                message=message,
            )
            for seq, received_at, request, body, outcome, message in rows
        ]

    def counters(self, endpoint: str) -> dict[str, Any]:
        """Return totals since the last reset, and counts by inference id for recent requests."""
        with self._lock:
            totals = dict(
                self._db.execute("SELECT name, n FROM counter WHERE endpoint = ?", (endpoint,)).fetchall()
            )
            rows = self._db.execute(
                "SELECT inference_id, count(*), sum(starts), sum(outcome IS 'succeeded'), "
                "sum(outcome IS 'failed'), sum(outcome IS 'expired') "
                "FROM invocation WHERE endpoint = ? GROUP BY inference_id ORDER BY min(seq)",
                (endpoint,),
            ).fetchall()
        return {
            **{name: int(totals.get(name, 0)) for name in COUNTERS},
            "by_inference_id": {row[0]: dict(zip(COUNTERS, row[1:], strict=False)) for row in rows},
        }

    def reset(self) -> None:
        """Deletes all requests and counts."""
        with self._transaction() as db:
            db.execute("DELETE FROM invocation")
            db.execute("DELETE FROM counter")
        self._forget_bodies()

    def _count(self, endpoint: str, name: str) -> None:
        self._db.execute(
            "INSERT INTO counter VALUES (?, ?, 1) ON CONFLICT (endpoint, name) DO UPDATE SET n = n + 1",
            (endpoint, name),
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
