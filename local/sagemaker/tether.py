"""Script that starts a program so that it never outlives the parent process.

Usage: tether.py PARENT_PID PROGRAM [ARGUMENT ...]

On Linux the program replaces this process, and the kernel kills it when the parent dies. Elsewhere this process
stays, watches the parent and forwards signals.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType

PR_SET_PDEATHSIG = 1
WATCH_INTERVAL_S = 0.5


def become(parent: int, command: list[str]) -> None:
    """Replaces this process with `command`, which the kernel kills when `parent` dies. Linux only."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    # If the parent died before the call, no signal would ever come.
    if os.getppid() != parent:
        os._exit(1)
    os.execvp(command[0], command)  # noqa: S606 - the program from the settings; no shell wanted


def watch(parent: int, command: list[str]) -> int:
    """Runs `command` as a child, kills it if `parent` dies, and returns its exit status."""
    child = subprocess.Popen(command)

    def end_with_parent() -> None:
        while child.poll() is None:
            if os.getppid() != parent:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                return
            time.sleep(WATCH_INTERVAL_S)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    threading.Thread(target=end_with_parent, daemon=True).start()
    return child.wait()


def main(arguments: list[str]) -> int:
    """Starts the program named in `arguments`; returns 127 when it cannot be started."""
    parent, command = int(arguments[0]), arguments[1:]
    try:
        if sys.platform == "linux":
            become(parent, command)
        return watch(parent, command)
    except OSError as exc:
        print(f"{command[0]}: {exc.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
