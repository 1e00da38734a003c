"""Runs random schedules of kills and stops on a whole studio: `python -m tests.faults.schedules --count 40 --seed 1`.

A schedule submits jobs while faults occur, lets the studio recover, and checks that no acknowledged job is lost or
duplicated, no job is charged twice, no erased data returns, and no picture has a second version.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.resources import IMAGES_BUCKET, client_factory
from tests.running import MODEL_SERVERS, WITHOUT_A_MODEL, RunningStudio

JOBS = 20
FAULTS = 3
PAUSE_S = 0.4
RECOVER_S = 150.0
SECRET = "an erased prompt that must not return"
OUTAGES = (urllib.error.URLError, ConnectionError, TimeoutError, OSError)


@dataclass
class Audit:
    """The findings of one schedule; all lists are empty if nothing is wrong."""

    seed: int
    fired: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    charged: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not any((self.lost, self.double, self.charged, self.returned, self.versions))

    def __str__(self) -> str:
        numbers = (
            f"lost {len(self.lost)}, double {len(self.double)}, charged twice {len(self.charged)}, "
            f"returned {len(self.returned)}, second versions {len(self.versions)}"
        )
        fired = ", ".join(f"{name} {count}" for name, count in sorted(self.fired.items()))
        statuses = ", ".join(f"{name} {count}" for name, count in sorted(self.statuses.items()))
        details = [*self.lost, *self.double, *self.charged, *self.returned, *self.versions]
        return "\n    ".join([f"seed {self.seed}: {numbers}; fired: {fired}; jobs: {statuses}", *details])


class Schedule:
    """One studio in a fresh home, and the faults injected into it."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._random = random.Random(seed)
        self._audit = Audit(seed)
        self._studio = RunningStudio(
            folder / "home",
            launcher=WITHOUT_A_MODEL,
            ATELIER_SWEEP_INTERVAL_S="2",
            ATELIER_SNAPSHOT_S=str(self._random.choice((1, 5, 60))),
        )
        # The job id returned for each Idempotency-Key.
        self._acknowledged: dict[str, str] = {}
        self._faults: dict[str, Callable[[], None]] = {
            "kill cloud": lambda: self._kill_part("embedded cloud"),
            "kill worker": lambda: self._kill_part("worker"),
            "kill studio": lambda: self._kill_part("studio"),
            "kill endpoint": lambda: self._kill_part("local endpoint"),
            "kill model": self._kill_model,
            "kill tree": self._kill_tree,
            "kill tree while it starts": self._kill_while_it_starts,
            "kill tree while it stops": self._kill_while_it_stops,
            "SIGTERM to the group": lambda: self._stop(signal.SIGTERM, group=True),
            "Ctrl-C": lambda: self._stop(signal.SIGINT),
            "Ctrl-C twice": lambda: self._stop(signal.SIGINT, twice=True),
        }

    def run(self) -> Audit:
        """Runs the schedule and returns the findings. Always kills the studio at the end."""
        try:
            self._erase_something()
            makers = threading.Thread(target=self._submit_all)
            makers.start()
            # Killing the cloud or the whole tree has lost records in the past, so each schedule has one such fault.
            first = self._random.choice([name for name in self._faults if "cloud" in name or "tree" in name])
            names = [first, *self._random.sample(sorted(self._faults), FAULTS - 1)]
            self._random.shuffle(names)
            for name in names:
                time.sleep(self._random.uniform(0.3, 2.5))
                self._faults[name]()
                self._audit.fired[name] += 1
            makers.join()
            self._wait_until_all_ended()
            self._check()
        finally:
            self._studio.kill()
        return self._audit

    def _erase_something(self) -> None:
        """Draws a picture as the admin, then deletes all of the admin's data; returns when that is done."""
        studio = self._studio
        maker = studio.credentials["maker"]
        studio.credentials["maker"] = studio.credentials["admin"]
        job = studio.ask("POST", "/v1/jobs", {"prompt": SECRET, "steps": 2})
        studio.wait_for_job(job["id"], "succeeded")
        user = studio.ask("GET", "/v1/me")["id"]
        with studio.services() as services:
            services.jobs.delete_all(services.accounts.user(user))
        studio.credentials["maker"] = maker

    def _submit_all(self) -> None:
        choose = random.Random(self._audit.seed + 1)
        for number in range(JOBS):
            time.sleep(choose.uniform(0, PAUSE_S))
            key = f"schedule-{self._audit.seed}-{number}"
            body = {"prompt": f"job {key}", "steps": choose.randint(1, 20), "count": choose.randint(1, 2)}
            # Like a client: retries with the same key until there is an answer.
            deadline = time.monotonic() + RECOVER_S
            while time.monotonic() < deadline:
                with contextlib.suppress(*OUTAGES):
                    self._acknowledged[key] = self._studio.ask("POST", "/v1/jobs", body, Idempotency_Key=key)[
                        "id"
                    ]
                    break
                time.sleep(0.3)

    def _kill_part(self, name: str) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._studio.kill_part(name)

    def _kill_model(self) -> None:
        for pid in self._studio.pids():
            with contextlib.suppress(OSError):
                if any(name in Path(f"/proc/{pid}/cmdline").read_bytes() for name in MODEL_SERVERS):
                    os.kill(pid, signal.SIGKILL)

    def _kill_tree(self) -> None:
        self._studio.kill()
        self._studio.start()

    def _kill_while_it_starts(self) -> None:
        self._studio.kill()
        self._studio.spawn()
        time.sleep(self._random.uniform(0.1, 4.0))
        self._kill_tree()

    def _kill_while_it_stops(self) -> None:
        self._studio.signal(signal.SIGINT)
        time.sleep(self._random.uniform(0.0, 1.5))
        self._kill_tree()

    def _stop(self, number: int, *, group: bool = False, twice: bool = False) -> None:
        self._studio.signal(number, group=group)
        if twice:
            time.sleep(self._random.uniform(0.0, 0.8))
            with contextlib.suppress(ProcessLookupError):
                self._studio.signal(number, group=group)
        self._studio.wait_ended()
        self._studio.start()

    def _wait_until_all_ended(self) -> None:
        deadline = time.monotonic() + RECOVER_S
        while time.monotonic() < deadline:
            with contextlib.suppress(*OUTAGES):
                if self._studio.ask("GET", "/v1/usage")["open_jobs"] == 0:
                    return
            time.sleep(0.5)

    def _check(self) -> None:
        audit, studio = self._audit, self._studio
        if unanswered := JOBS - len(self._acknowledged):
            audit.lost.append(f"{unanswered} jobs were never acknowledged")
        jobs = self._all_jobs()
        by_id = {job["id"]: job for job in jobs}
        for key, job_id in self._acknowledged.items():
            job = by_id.get(job_id)
            if job is None or job["status"] not in ("succeeded", "failed", "canceled", "expired"):
                audit.lost.append(f"{key} {job_id}: {job['status'] if job else 'gone'}")
            else:
                audit.statuses[job["status"]] += 1
            if (
                job is not None
                and job["status"] == "succeeded"
                and len(job["output"]) != job["input"]["count"]
            ):
                audit.lost.append(f"{key} {job_id}: {len(job['output'])} of {job['input']['count']} pictures")
        prompts = Counter(job["input"]["prompt"] for job in jobs)
        audit.double += [f"{prompt}: {count} jobs" for prompt, count in prompts.items() if count > 1]
        spent = studio.ask("GET", "/v1/usage")["spent_month_usd"]
        charged = sum(job["metrics"]["cost_usd"] or 0 for job in jobs)
        if abs(spent - charged) > 2e-6:
            audit.charged.append(f"spent {spent:.6f}, the jobs cost {charged:.6f}")
        self._check_erased()
        self._check_versions()

    def _all_jobs(self) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = []
        after = None
        while True:
            page = self._studio.ask("GET", f"/v1/jobs?limit=100{f'&after={after}' if after else ''}")
            jobs += page["data"]
            after = page["next"]
            if not after:
                return jobs

    def _check_erased(self) -> None:
        studio = self._studio
        maker = studio.credentials["maker"]
        studio.credentials["maker"] = studio.credentials["admin"]
        self._audit.returned += [job["id"] for job in studio.ask("GET", "/v1/jobs")["data"]]
        self._audit.returned += [image["id"] for image in studio.ask("GET", "/v1/images")["data"]]
        studio.credentials["maker"] = maker

    def _check_versions(self) -> None:
        s3 = client_factory(self._studio.environment()["AWS_ENDPOINT_URL"])("s3")
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=IMAGES_BUCKET)
        keys = Counter(version["Key"] for page in pages for version in page.get("Versions", ()))
        self._audit.versions += [f"{key}: {count} versions" for key, count in keys.items() if count > 1]


def run_one(seed: int) -> Audit:
    """Runs one schedule in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix=f"schedule-{seed}-") as folder:
        return Schedule(seed, Path(folder)).run()


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line per schedule and the totals; returns 1 if a schedule found a problem."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.schedules", description=__doc__)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first schedule")
    arguments = parser.parse_args(argv)
    audits = []
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        audits.append(run_one(seed))
        print(audits[-1], flush=True)
    fired = sum((audit.fired for audit in audits), Counter[str]())
    dirty = [audit for audit in audits if not audit.is_clean]
    print(f"{len(audits)} schedules, {sum(fired.values())} faults fired: {dict(sorted(fired.items()))}")
    print(
        f"{len(dirty)} of them found problems"
        if dirty
        else "zero lost, zero double, zero charged twice, zero returned"
    )
    return 1 if dirty else 0


if __name__ == "__main__":
    sys.exit(main())
