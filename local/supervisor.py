"""Starts the studio's processes, reports and restarts those that die, and stops them all."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from local.processes import Child, ChildFailed

READY_TIMEOUT_S = 60.0
WATCH_INTERVAL_S = 0.5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
# A process that ran this long was healthy: its next failure starts with the shortest pause again.
WELL_AFTER_S = 60.0
MAX_LOG_BYTES = 20_000_000
# The exit code of a part that refuses to start; its last line says why.
REFUSED = 3
# How a part marks a line that says how far its start is.
PROGRESS = "progress: "

Say = Callable[[str], None]


class StopRequest:
    """Whether signals have asked this process to end.

    A signal handler that raises could do so inside `Popen.wait` or between a start and its record; this one only
    counts, and `check` and `pause` raise where nothing is half-done.
    """

    def __init__(self) -> None:
        self._signals = 0

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """The handler of all signals that end the process."""
        self._signals += 1

    @property
    def in_a_hurry(self) -> bool:
        """Whether a second signal came. `make` and the terminal may send the same one twice, too."""
        return self._signals > 1

    def check(self) -> None:
        """Raises Stopped after a signal."""
        if self._signals:
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Sleeps. Raises Stopped after a signal, within a tenth of a second."""
        until = time.monotonic() + seconds
        self.check()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(0.1, left))
            self.check()


class Stopped(BaseException):
    """A signal asked the studio to end. Not an Exception: nothing may swallow it."""


@dataclass(frozen=True)
class Part:
    """A process to keep running: how to start it and how to check that it is ready."""

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str]
    probe: Callable[[], bool]
    stop_timeout_s: float = 10.0
    after_restart: Callable[[], None] | None = None
    needed_by_others: bool = False


@dataclass
class _Running:
    part: Part
    child: Child
    started_at: float
    pauses: int = 0
    start_again_at: float | None = field(default=None)


class Supervisor:
    """Owns the running processes of one studio. Used by one thread only."""

    def __init__(
        self, logs: Path, say: Say, on_change: Callable[[dict[str, int]], None], stop: StopRequest
    ) -> None:
        """`say` gets one line for each thing a person should know; `on_change` the process ids after each start."""
        self._logs = logs
        self._stop = stop
        self._say = say
        self._on_change = on_change
        self._running: dict[str, _Running] = {}
        self._last_said = ""

    def start(self, part: Part) -> None:
        """Starts `part` with a fresh log; the log of the last time is kept as `<name>.1.log`."""
        self._stop.check()
        log = self._log(part)
        if log.exists():
            log.replace(log.with_suffix(".1.log"))
        self._running[part.name] = _Running(part, self._spawn(part), time.monotonic())
        self._changed()

    def wait_ready(self, name: str) -> None:
        """Returns when the part is ready, and says what it says. Raises ChildFailed when it will not be, Stopped.

        A part that says that it advances may take as long as it needs.
        """
        running = self._running[name]

        def hear() -> bool:
            self._stop.check()
            return self._pass_on(running)

        try:
            running.child.wait_ready(running.part.probe, timeout_s=READY_TIMEOUT_S, hear=hear)
        except ChildFailed as exc:
            if exc.code != REFUSED:
                raise
            *before, reason = self._said(running) or [str(exc)]
            for line in before:
                self._say(line)
            raise ChildFailed(reason, exc.code) from exc
        hear()

    def _said(self, running: _Running) -> list[str]:
        """Returns the new lines that the part addresses to the person who started it."""
        return [line for line in running.child.new_lines() if line.startswith(f"{running.part.name}: ")]

    def _pass_on(self, running: _Running) -> bool:
        """Says what the part has for the person who started it; returns whether it reports an advance."""
        advances = False
        for line in self._said(running):
            advances = advances or PROGRESS in line
            self._say(line.replace(PROGRESS, ""))
        return advances

    def check_all(self) -> None:
        """Raises ChildFailed if a part has ended."""
        for running in self._running.values():
            if running.child.exit_code() is not None:
                running.child.wait_ready(lambda: False, timeout_s=0)

    def watch(self, still_wanted: Callable[[], bool], every_minute: Callable[[], None]) -> None:
        """Restarts what dies, as long as `still_wanted`, which is called twice a second. Raises Stopped."""
        next_minute = time.monotonic() + 60
        while still_wanted():
            self._stop.pause(WATCH_INTERVAL_S)
            for running in list(self._running.values()):
                try:
                    self._look_after(running)
                except OSError as exc:
                    # A full disk, for example: the next look tries again.
                    self._say_once(f"{running.part.name} cannot be started: {exc}; trying again")
                self._pass_on(running)
            if time.monotonic() >= next_minute:
                next_minute += 60
                self._shorten_logs()
                every_minute()

    def _say_once(self, line: str) -> None:
        if line != self._last_said:
            self._last_said = line
            self._say(line)

    def _look_after(self, running: _Running) -> None:
        now = time.monotonic()
        code = running.child.exit_code()
        if code is None:
            return
        if running.start_again_at is None:
            if now - running.started_at > WELL_AFTER_S:
                running.pauses = 0
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**running.pauses)
            running.pauses += 1
            running.start_again_at = now + pause_s
            # Its own children must not outlive it.
            running.child.kill()
            self._say(
                f"{running.part.name} ended ({_reason(code)}); starting it again in {pause_s:.0f} s, "
                f"its log is {running.child.log}"
            )
        elif now >= running.start_again_at:
            running.started_at = now
            running.child = self._spawn(running.part)
            running.start_again_at = None
            self._changed()
            if running.part.after_restart is not None:
                self._set_up_again(running, running.part.after_restart)

    def _set_up_again(self, running: _Running, set_up: Callable[[], None]) -> None:
        try:
            self.wait_ready(running.part.name)
            set_up()
        except ChildFailed as exc:
            self._say(str(exc))
            # The next check restarts it.
            running.child.kill()

    def restart(self, part: Part) -> None:
        """Stops the part with this name and starts the given one."""
        running = self._running[part.name]
        running.child.stop(timeout_s=running.part.stop_timeout_s)
        self._running[part.name] = _Running(part, self._spawn(part), time.monotonic())
        self._changed()

    def stop(self) -> None:
        """Stops all parts, each within its time; those that the others need go last.

        A second signal ends the first ones at once. What the others need still stops in order: it has what they
        stored.
        """
        parts = sorted(self._running.values(), key=lambda running: running.part.needed_by_others)
        for running in parts:
            if not running.part.needed_by_others:
                running.child.signal(signal.SIGTERM)
        for running in parts:
            needed = running.part.needed_by_others
            running.child.stop(
                timeout_s=running.part.stop_timeout_s,
                hurry=(lambda: False) if needed else (lambda: self._stop.in_a_hurry),
            )
            self._pass_on(running)
        self._running.clear()
        self._changed()

    def kill(self) -> None:
        """Kills all parts at once."""
        for running in self._running.values():
            running.child.kill()

    def _log(self, part: Part) -> Path:
        return self._logs / f"{part.name.replace(' ', '-')}.log"

    def _spawn(self, part: Part) -> Child:
        return Child(part.name, part.command, log=self._log(part), environment=part.environment)

    def _changed(self) -> None:
        try:
            self._on_change({name: running.child.pid for name, running in self._running.items()})
        except OSError as exc:
            # Only a start after a kill of this process reads it.
            self._say_once(f"the list of processes could not be written: {exc}")

    def _shorten_logs(self) -> None:
        for running in self._running.values():
            # A log that was deleted or cannot be written is no reason to stop the studio.
            with contextlib.suppress(OSError):
                _shorten(running.child.log)


def _shorten(log: Path) -> None:
    """Truncates `log` when it is too long and moves its content to `<name>.1.log`. Raises OSError."""
    if log.stat().st_size <= MAX_LOG_BYTES:
        return
    kept = log.with_suffix(".1.log")
    try:
        shutil.copyfile(log, kept)
    except OSError:
        # On a full disk, a partial copy would only take more space.
        with contextlib.suppress(OSError):
            kept.unlink(missing_ok=True)
    # The process has the file open for appending, so it continues at the new end.
    os.truncate(log, 0)


def _reason(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
