"""Creates the environments of a fresh checkout, using only Python: `python3 local/bootstrap.py [--dev]`.

Runs on Python 3.8 or later, so that it can report an unsuitable version.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Callable, Mapping, NamedTuple, Sequence  # noqa: UP035 - Python 3.8 reads this file

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "3.11"
VERSION_CODE = "import sys; print('%d.%d' % sys.version_info[:2])"
AT_ONCE = 2
STAMP = "atelier-requirements.sha256"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_TIMEOUT_S = 30
# What pip prints -> the reason shown to the user.
REASONS = {
    "the disk is full": ("No space left on device", "Errno 28"),
    "the package registry cannot be reached": (
        "NewConnectionError",
        "ConnectTimeout",
        "Read timed out",
        "Connection refused",
        "ProxyError",
        "Max retries exceeded",
        "SSLError",
    ),
    "a package is not to be had in its version": ("No matching distribution", "Could not find a version"),
    "the folder cannot be written": ("Permission denied", "Read-only file system"),
}


class Environment(NamedTuple):
    """The requirements of one environment. `dev` includes `run`, which is None where the studio does not need it.

    `needed_bytes` is the measured size of a new installation.
    """

    run: str | None
    dev: str
    needed_bytes: int


# torch is by far the largest package, so its environment starts first.
ENVIRONMENTS = {
    "inference": Environment("inference/requirements.txt", "inference/requirements-dev.txt", 2_800_000_000),
    "studio": Environment("requirements.txt", "requirements-dev.txt", 1_000_000_000),
    "cloud": Environment("local/requirements.txt", "local/requirements.txt", 200_000_000),
    "jumpstart": Environment(None, "infra/jumpstart/requirements.txt", 500_000_000),
    "bench": Environment(None, "bench/requirements.txt", 100_000_000),
}


class Impossible(Exception):
    """The environments cannot be created; the message states in one line why and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Installs what is missing and returns the exit code; prints one line on failure."""
    parser = argparse.ArgumentParser(prog="local/bootstrap.py", description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what the tests and checks need")
    parser.add_argument("--jumpstart", action="store_true", help="only what resolves JumpStart models")
    parser.add_argument("--browser", action="store_true", help="also Chromium, by the package manager")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.jumpstart:
            make_environments(ROOT / ".venvs", {"jumpstart": ENVIRONMENTS["jumpstart"]}, dev=True)
        else:
            make_environments(ROOT / ".venvs", ENVIRONMENTS, dev=options.dev)
        if options.browser:
            find_chromium()
    except Impossible as exc:
        print(f"atelier: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("atelier: stopped while installing; the next start goes on from there", file=sys.stderr)
        return 130
    return 0


def make_environments(folder: Path, environments: Mapping[str, Environment], *, dev: bool) -> None:
    """Installs into `folder` every environment whose stamp is missing or outdated. Raises Impossible."""
    if not missing(folder, environments, dev=dev):
        return
    python = find_python()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / "lock", "w")  # noqa: SIM115 - held until the installation ends
    except OSError as exc:
        raise Impossible(f"{folder} cannot be written: {exc.strerror}") from exc
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another installation into {folder} ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        todo = {name: environments[name] for name in missing(folder, environments, dev=dev)}
        check_space(
            folder, sum(made.needed_bytes for name, made in todo.items() if not (folder / name).exists())
        )
        _install_all(folder, todo, python, dev=dev)


def missing(folder: Path, environments: Mapping[str, Environment], *, dev: bool) -> list[str]:
    """Return the names of the required environments whose stamp does not match their requirements.

    A development installation also serves for running.
    """
    names = []
    for name, made in environments.items():
        if made.run is None and not dev:
            continue
        try:
            stamp = (folder / name / STAMP).read_text().strip()
        except OSError:
            stamp = ""
        if stamp not in {_fingerprint(made.dev)} | (
            set() if dev or not made.run else {_fingerprint(made.run)}
        ):
            names.append(name)
    return names


def _fingerprint(requirements: str) -> str:
    """Return a hash of a requirements file, the file it includes and the required Python version."""
    file = ROOT / requirements
    text = file.read_bytes()
    for line in text.decode().splitlines():
        if line.startswith("-r "):
            text += (file.parent / line[3:].strip()).read_bytes()
    return hashlib.sha256(text + PYTHON.encode()).hexdigest()


def find_python() -> str:
    """Return a Python of exactly the version the packages are pinned for. Raises Impossible."""
    for candidate in (sys.executable, shutil.which(f"python{PYTHON}"), shutil.which("python3")):
        if candidate and _answer(candidate, VERSION_CODE) == PYTHON:
            if _answer(candidate, "import ensurepip, venv; print('ok')") != "ok":
                raise Impossible(
                    f"Python {PYTHON} is here but cannot make environments; "
                    f"install its package python{PYTHON}-venv"
                )
            return candidate
    here = ".".join(map(str, sys.version_info[:2]))
    raise Impossible(
        f"Python {PYTHON} is needed and was not found (this is {here}); install it, on Debian 12 or Ubuntu "
        f"with `apt install python{PYTHON} python{PYTHON}-venv`"
    )


def _answer(python: str, code: str) -> str:
    try:
        ended = subprocess.run(
            [python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout.decode(errors="replace").strip()


def check_space(folder: Path, needed_bytes: int) -> None:
    """Raises Impossible when less than `needed_bytes` is free on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise Impossible(
            f"the disk of {folder} has {free / 1e9:.1f} GB free and the installation needs "
            f"{needed_bytes / 1e9:.1f} GB; make room"
        )


def _install_all(folder: Path, environments: Mapping[str, Environment], python: str, *, dev: bool) -> None:
    """Installs two environments at a time; on a failure or Ctrl-C, ends the others."""
    running: set[subprocess.Popen[bytes]] = set()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        work = []
        for name, made in environments.items():
            requirements = made.dev if dev or made.run is None else made.run
            work.append(pool.submit(_install, folder / name, requirements, python, running))
        try:
            for done in concurrent.futures.as_completed(work):
                done.result()
        except BaseException:
            for future in work:
                future.cancel()
            for process in list(running):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
            raise


def _install(
    environment: Path, requirements: str, python: str, running: set[subprocess.Popen[bytes]]
) -> None:
    """Creates or completes one environment and stamps it. Raises Impossible with the reason and the log's path."""
    started = time.monotonic()
    log = environment.with_name(f"{environment.name}.log")
    own_python = str(environment / "bin" / "python")
    with contextlib.suppress(FileNotFoundError):
        (environment / STAMP).unlink()
    print(f"Installing {requirements} ...", flush=True)
    pip = [own_python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q"]
    commands = [[*pip, "--progress-bar", "off", "-r", str(ROOT / requirements)]]
    if _answer(own_python, VERSION_CODE) != PYTHON:
        commands.insert(0, [python, "-m", "venv", "--clear", str(environment)])
    with open(log, "wb") as output:
        for command in commands:
            code = _run(command, output, running)
            if code != 0:
                raise Impossible(
                    f"{requirements} could not be installed: {_reason(log, code)}; its log is {log}"
                )
    (environment / STAMP).write_text(_fingerprint(requirements) + "\n")
    print(f"Installed {requirements} in {time.monotonic() - started:.0f} s.", flush=True)


def _run(command: Sequence[str], output: IO[bytes], running: set[subprocess.Popen[bytes]]) -> int:
    process = subprocess.Popen(
        command,
        cwd=str(ROOT),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    running.add(process)
    try:
        return process.wait()
    finally:
        running.discard(process)


def _reason(log: Path, code: int) -> str:
    text = log.read_text(errors="replace")
    for reason, signs in REASONS.items():
        if any(sign in text for sign in signs):
            return reason
    errors = [line for line in text.splitlines() if line.startswith("ERROR")]
    return errors[-1] if errors else f"the installer ended with exit code {code}"


def find_chromium(say: Callable[[str], None] = print) -> str | None:
    """Return a working Chromium, installing it with apt-get if permitted; otherwise say why and return None."""
    found = _working_chromium()
    if found:
        return found
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        say(
            "Chromium is not installed, so the browser tests cannot run: install it, on Debian with "
            "`sudo apt-get install chromium`"
        )
        return None
    say("Installing Chromium ...")
    last = ""
    for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "chromium"]):
        ended = subprocess.run(
            ["apt-get", *arguments],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        last = (ended.stdout.decode(errors="replace").strip().splitlines() or [""])[-1]
    found = _working_chromium()
    if not found:
        say(f"Chromium could not be installed, so the browser tests cannot run: {last}")
    return found


def _working_chromium() -> str | None:
    for name in CHROMIUM_NAMES:
        path = shutil.which(name)
        # Ubuntu's package of this name only prints a hint to install the snap.
        if path and _starts([path, "--version"]):
            return path
    return None


def _starts(command: Sequence[str]) -> bool:
    try:
        quiet = subprocess.DEVNULL
        ended = subprocess.run(command, stdout=quiet, stderr=quiet, timeout=CHROMIUM_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
