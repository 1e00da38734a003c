"""A child process in its own process group that ends with its parent; can be awaited and stopped as a group."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STUDIO_PYTHON = ROOT / ".venvs/studio/bin/python"
CLOUD_PYTHON = ROOT / ".venvs/cloud/bin/python"
INFERENCE_PYTHON = ROOT / ".venvs/inference/bin/python"
LOOPBACK = "127.0.0.1"
PR_SET_PDEATHSIG = 1
PROBE_TIMEOUT_S = 2.0


class ChildFailed(Exception):
    """A child ended, or was not ready in time; the message ends with the last lines of its log.

    `code` is the exit code of one that ended.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class Child:
    """A running child process and its log file."""

    def __init__(
        self, name: str, command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str]
    ) -> None:
        """Starts `command` in the repository's root; its output goes to `log`. Raises OSError."""
        self.name = name
        self.log = log
        parent = os.getpid()
        with open(log, "ab", buffering=0) as output:
            self._read_to = output.tell()
            self._process = subprocess.Popen(
                [str(word) for word in command],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_leash(parent),
            )

    @property
    def pid(self) -> int:
        """The process id, which is also the process group id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return self._process.poll()

    def wait_ready(
        self, probe: Callable[[], bool], *, timeout_s: float, hear: Callable[[], bool] = lambda: False
    ) -> None:
        """Returns when `probe` answers True.

        `hear` is called 20 times a second; it may raise, and True extends the time, because the child advances.
        Raises ChildFailed if the child ends before, or after `timeout_s` without an advance.
        """
        deadline = time.monotonic() + timeout_s
        while not probe():
            code = self.exit_code()
            if code is not None:
                raise ChildFailed(
                    f"{self.name} ended with exit code {code}; see {self.log}\n{self.log_tail()}", code
                )
            if hear():
                deadline = time.monotonic() + timeout_s
            if time.monotonic() > deadline:
                raise ChildFailed(
                    f"{self.name} was not ready after {timeout_s:.0f} s; see {self.log}\n{self.log_tail()}"
                )
            time.sleep(0.05)

    def new_lines(self) -> list[str]:
        """Returns the complete lines that it has printed since the last call. Empty if the log cannot be read."""
        try:
            with open(self.log, "rb") as file:
                # It is shorter after it was shortened.
                file.seek(self._read_to if self._read_to <= os.fstat(file.fileno()).st_size else 0)
                data = file.read()
                whole = data.rfind(b"\n") + 1
                self._read_to = file.tell() - len(data) + whole
        except OSError:
            return []
        return data[:whole].decode(errors="replace").splitlines()

    def wait_ended(self, *, timeout_s: float, hurry: Callable[[], bool] = lambda: False) -> int:
        """Returns the exit code. Raises ChildFailed if it still runs after `timeout_s`, or when `hurry` says so."""
        deadline = time.monotonic() + timeout_s
        while (code := self.exit_code()) is None:
            if time.monotonic() >= deadline or hurry():
                raise ChildFailed(f"{self.name} still runs after {timeout_s:.0f} s")
            time.sleep(0.02)
        return code

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of the log, indented."""
        with open(self.log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            text = file.read().decode(errors="replace")
        return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])

    def signal(self, number: int) -> None:
        """Sends a signal to the process and everything it started; ignored if all have ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def stop(self, *, timeout_s: float = 10.0, hurry: Callable[[], bool] = lambda: False) -> None:
        """SIGTERM to its group, SIGKILL to what is left after `timeout_s`, or as soon as `hurry` returns True."""
        if self.exit_code() is None:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(ChildFailed):
                self.wait_ended(timeout_s=timeout_s, hurry=hurry)
        self.kill()

    def kill(self) -> None:
        """Sends SIGKILL to the group and waits for the process."""
        self.signal(signal.SIGKILL)
        self._process.wait()


def leash_this_process() -> None:
    """Makes this process receive SIGTERM when its parent dies."""
    _leash(os.getppid())()


def _leash(parent: int) -> Callable[[], None]:
    """Return the function to run in a new process: it enables SIGINT, and SIGTERM at the parent's death (Linux)."""
    # Loaded before the fork, because nothing may be imported after it.
    libc = ctypes.CDLL(None)

    def leash() -> None:
        # A shell starts background commands with SIGINT ignored, and children inherit that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if hasattr(libc, "prctl"):
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return leash


def answers(port: int, path: str) -> bool:
    """Whether a GET of `path` on the loopback `port` is answered with 200."""
    # Not urllib, which would use the machine's proxy for a loopback address.
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def port_is_free(port: int) -> bool:
    """Whether `port` is free on both loopback addresses (a browser tries either for `localhost`)."""
    try:
        _bind(socket.AF_INET, LOOPBACK, port)
    except OSError:
        return False
    try:
        _bind(socket.AF_INET6, "::1", port)
    except OSError as exc:
        # A machine without IPv6 is fine.
        return exc.errno != errno.EADDRINUSE
    return True


def _bind(family: socket.AddressFamily, host: str, port: int) -> int:
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        return int(listener.getsockname()[1])


def any_free_port() -> int:
    """Return a port that was free a moment ago."""
    return _bind(socket.AF_INET, LOOPBACK, 0)
