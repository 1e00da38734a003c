"""Keeps MiniStack's tables and accounts on disk: loads them, records every change, compacts the journal."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.cloud.journal import Journal
from local.cloud.parts import unflatten
from local.cloud.recorder import ITEMS, Recorder
from local.cloud.recovery import Recovered, forget, make_copy, read_all
from local.cloud.tables import Contents, write_base
from local.processes import ROOT

# A journal is compacted when it is this long and half as long as the base: each byte is rewritten a few times at most.
LEAST_COMPACTED_BYTES = 16_000_000
# And at the latest this long after a change, because it still holds what has been erased since; but never more than
# this share of the time.
COMPACT_AFTER_S = 20.0
COMPACT_SHARE = 0.05
LOOK_S = 0.5

Say = Callable[[str], None]


class Durability:
    """The disk side of one running MiniStack. Used on its event loop."""

    def __init__(
        self, folder: Path, objects: Path, say: Say, *, compact_after_s: float = COMPACT_AFTER_S
    ) -> None:
        self._folder = folder
        self._objects = objects
        self._say = say
        self._compact_after_s = compact_after_s
        self._base = 0
        self._base_bytes = 0
        self._number = 1
        self._took_s = 0.0

    def load(self, ministack: Any, persistence: Any, legacy: Path | None) -> None:
        """Reads what is on disk into MiniStack's modules and starts recording.

        `legacy` is a snapshot of version 0.2 or before, used if there is nothing newer. Raises StateUnusable, OSError.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found, is_legacy = read_all(self._folder, legacy, self._objects, self._say)
        contents = found.contents
        if is_legacy:
            found = self._first_base(contents)
        dynamodb, cognito = ministack._get_module("dynamodb"), ministack._get_module("cognito")
        _restore(dynamodb, cognito, persistence, contents)
        self._base, self._number = found.base, found.number
        if self._base:
            forget(self._folder, self._base)
            self._base_bytes = (self._folder / f"base-{self._base}.jsonl").stat().st_size
        self._journal = Journal(found.journal, end=found.end, say=self._say)
        self._recorder = Recorder(
            dynamodb, cognito, persistence, known=contents.services, append=self._journal.append
        )

    def _first_base(self, contents: Contents) -> Recovered:
        base = self._folder / "base-1.jsonl"
        write_base(contents.records(), base)
        make_copy(base)
        self._say(f"moved {contents.count():,} records of an earlier version to {base.name}")
        return Recovered(contents, 1, self._folder / "journal-1.jsonl", 1, 0)

    def check_room(self) -> None:
        """Returns if a change could be recorded now. Raises NotDurable."""
        self._journal.check_room()

    async def record(self, service: str, headers: Mapping[str, str]) -> None:
        """Returns when what a request to `service` has changed is on disk. Raises NotDurable."""
        self._recorder.after(service, headers)
        await self._journal.durable()

    async def record_reset(self) -> None:
        """Returns when it is on disk that everything is gone. Raises NotDurable."""
        self._recorder.after_reset()
        await self._journal.durable()

    async def compact_regularly(self) -> None:
        """Compacts the journal as it grows, until cancelled. A failure is said, and tried again later."""
        changed_at: float | None = None
        not_before = 0.0
        while True:
            await asyncio.sleep(LOOK_S)
            size, now = self._journal.size_bytes, time.monotonic()
            if size == 0:
                changed_at = None
                continue
            changed_at = changed_at or now
            long = size > max(LEAST_COMPACTED_BYTES, self._base_bytes // 2)
            if now < not_before or not (long or now - changed_at > self._compact_after_s):
                continue
            try:
                await self.compact()
                changed_at = None
            except OSError as exc:
                self._say(f"the journal was not compacted, nothing is lost: {exc}")
            not_before = time.monotonic() + max(self._compact_after_s / 2, self._took_s / COMPACT_SHARE)

    async def compact(self) -> None:
        """Makes a new base and removes the files that it replaces. Raises OSError; then they are all still there."""
        began = time.monotonic()
        last = self._number
        self._journal.rotate(self._folder / f"journal-{last + 1}.jsonl")
        self._number = last + 1
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local.cloud.compaction", "--folder", str(self._folder.absolute())),
            *("--base", str(self._base), "--last", str(last)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            output, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        self._took_s = time.monotonic() - began
        text = output.decode(errors="replace").strip()
        if process.returncode != 0:
            raise OSError(text or f"the compaction ended with code {process.returncode}")
        self._base, self._base_bytes = last + 1, int(text)
        forget(self._folder, self._base)

    def close(self) -> None:
        """Closes the journal. Raises NotDurable if something that MiniStack holds is not in it."""
        self._journal.close()


def _restore(dynamodb: Any, cognito: Any, persistence: Any, contents: Contents) -> None:
    def state(service: str) -> Any:
        tree = unflatten(contents.services.get(service, {}))
        return json.loads(json.dumps(tree), object_hook=persistence._json_object_hook)

    tables = state("dynamodb")
    if tables:
        for table in tables["tables"].all_values():
            table[ITEMS] = defaultdict(dict, contents.tables.get(table["TableArn"], {}))
        dynamodb.load_persisted_state(tables)
        for table in dynamodb._tables.all_values():
            dynamodb._update_counts(table)
    accounts = state("cognito")
    if accounts:
        cognito.load_persisted_state(accounts)
