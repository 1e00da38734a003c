"""The studio's home folder on a laptop: its lock, ports, secrets and credentials file."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.processes import port_is_free
from local.signin import new_password

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
LAST_PORT = 65535
FIRST_PORT = 1024
# Room for a few hundred pictures and their records; with less something would soon fail half-way.
MIN_FREE_BYTES = 200_000_000
ROLES = ("maker", "admin")
FOLDERS = ("cloud", "sagemaker", "logs")
# In `cloud`: tables and accounts; queues and topics; objects.
RECORDS, STATE, OBJECTS = "records", "state", "s3"
FILES = ("credentials.json", "secrets.json", "ports.json", "processes.json", "sagemaker.json")
ORPHAN_TIMEOUT_S = 10.0


class HomeUnusable(Exception):
    """The home folder cannot be used; the message states in one line why and what to do."""


class Home:
    """The folder that holds all of a studio's data. Only one studio at a time can lock it."""

    def __init__(self, folder: Path, *, needed_bytes: int = MIN_FREE_BYTES) -> None:
        """Creates the folder. Raises HomeUnusable when it cannot be created or written, or its disk is full."""
        self.folder = folder.absolute()
        self._lock: int | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            self._make_private()
            self.logs.mkdir(exist_ok=True, mode=PRIVATE_FOLDER)
            self._write("probe", {})
            (self.folder / "probe").unlink()
        except OSError as exc:
            raise HomeUnusable(
                f"the studio's home {self.folder} cannot be written: {exc.strerror or exc}; "
                "choose another with ATELIER_HOME=..."
            ) from exc
        self.check_space(needed_bytes)

    def _make_private(self) -> None:
        """Shuts a folder that was there before to other users. Raises HomeUnusable for one that is theirs too."""
        mode = self.folder.stat().st_mode
        if mode & stat.S_ISVTX:
            raise HomeUnusable(
                f"{self.folder} is shared with other users; choose a folder inside it with ATELIER_HOME=..."
            )
        if mode & 0o077:
            self.folder.chmod(PRIVATE_FOLDER)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def cloud(self) -> Path:
        return self.folder / "cloud"

    def check_space(self, needed_bytes: int) -> None:
        """Raises HomeUnusable when less than `needed_bytes` is free on the home folder's disk."""
        free = shutil.disk_usage(self.folder).free
        if free < needed_bytes:
            raise HomeUnusable(
                f"the disk of {self.folder} is full: {free // 1_000_000} MB are free and "
                f"{needed_bytes // 1_000_000} MB are needed; make room or choose another home "
                "with ATELIER_HOME=..."
            )

    def lock(self, url: str) -> None:
        """Locks the home folder for the studio at `url` until `close` or until this process ends.

        Raises HomeUnusable when another process holds it.
        """
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.pread(lock, 200, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise HomeUnusable(
                f"another studio already runs in {self.folder} ({holder}); stop it, or choose another home "
                "with ATELIER_HOME=... and another port with PORT=..."
            ) from exc
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()}, {url}\n".encode(), 0)
        self._lock = lock

    def close(self) -> None:
        """Releases the lock."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def forget(self) -> None:
        """Removes the studio's files and leaves all others. Call with the lock held."""
        for name in FOLDERS:
            if (self.folder / name).exists():
                shutil.rmtree(self.folder / name)
        for name in FILES:
            (self.folder / name).unlink(missing_ok=True)

    def ports(self, studio_port: int) -> dict[str, int]:
        """Return the ports of the embedded cloud, the local endpoint and the inference server.

        Reuses the previous ports if they are free, so that earlier links keep working; otherwise takes the first
        free ports from `studio_port` + 1000, + 2000 and + 3000 on.
        """
        remembered: dict[str, int] = self._read("ports.json") or {}
        if remembered.get("studio") != studio_port:
            remembered = {}
        taken = {studio_port}
        ports: dict[str, int] = {}
        for number, name in enumerate(("cloud", "sagemaker", "inference"), start=1):
            port = remembered.get(name)
            if port is None or port in taken or not port_is_free(port):
                port = _first_free(studio_port + 1000 * number, taken)
            ports[name] = port
            taken.add(port)
        self._write("ports.json", {"studio": studio_port, **ports})
        return ports

    def cookie_secret(self) -> str:
        """Return the secret that signs sessions; created once, so that a restart signs nobody out."""
        return self._secret("cookie_secret")

    def aws_secret(self) -> str:
        """Return the secret that signs links to the embedded cloud; created once, so that they survive a restart."""
        return self._secret("aws_secret_access_key")

    def _secret(self, name: str) -> str:
        known = self._read("secrets.json") or {}
        if name not in known:
            known[name] = secrets.token_hex(32)
            self._write("secrets.json", known)
        return str(known[name])

    def credentials(self, url: str) -> dict[str, Any]:
        """Return `credentials.json` with the current address and a new password for each person without one."""
        known = self._read("credentials.json") or {}
        people = {
            role: {"email": f"{role}@example.com", "password": new_password(), **known.get(role, {})}
            for role in ROLES
        }
        return {"url": url, **people}

    def save_credentials(self, credentials: Mapping[str, Any]) -> Path:
        """Replaces `credentials.json` (mode 600) in one step and returns its path, unless it says the same already."""
        if self._read("credentials.json") == credentials:
            return self.folder / "credentials.json"
        return self._write("credentials.json", credentials)

    def write_config(self, name: str, document: Mapping[str, Any]) -> Path:
        """Replaces a JSON file in the home folder (mode 600) in one step and returns its path."""
        return self._write(name, document)

    def remember_processes(self, pids: Mapping[str, int]) -> None:
        """Records the started processes for `end_leftovers` at the next start."""
        self._write("processes.json", {name: [pid, _started_at(pid)] for name, pid in pids.items()})

    def end_leftovers(self) -> list[str]:
        """Ends processes left by a killed studio of this home and returns their names. Call with the lock held."""
        left = {
            name: pid
            for name, (pid, started_at) in (self._read("processes.json") or {}).items()
            if started_at is not None and _started_at(pid) == started_at
        }
        for number in (signal.SIGTERM, signal.SIGKILL):
            _signal_groups(left.values(), number)
            deadline = time.monotonic() + ORPHAN_TIMEOUT_S
            while time.monotonic() < deadline and any(_started_at(pid) for pid in left.values()):
                time.sleep(0.05)
        return list(left)

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as exc:
            raise HomeUnusable(
                f"{self.folder / name} cannot be read ({exc}); remove it, and the next start creates it again"
            ) from exc

    def _write(self, name: str, document: Mapping[str, Any]) -> Path:
        path, fresh = self.folder / name, self.folder / f"{name}.new"
        with open(fresh, "w", opener=_private) as file:
            json.dump(document, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
        return path


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)


def _first_free(first: int, taken: set[int]) -> int:
    span = LAST_PORT + 1 - FIRST_PORT
    for step in range(span):
        port = FIRST_PORT + (first - FIRST_PORT + step) % span
        if port not in taken and port_is_free(port):
            return port
    raise HomeUnusable("no port is free on this machine")


def _started_at(pid: int) -> int | None:
    """Return the start time in clock ticks since boot, which with the id identifies a process; None if ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _signal_groups(pids: Any, number: int) -> None:
    for pid in pids:
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            continue
