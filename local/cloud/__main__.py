"""Runs the embedded cloud: MiniStack at one pinned version, on loopback, with regular snapshots of its state.

Runs in its own environment (`.venvs/cloud`): `python -m local.cloud --port 9501 --folder .atelier/cloud`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import importlib.metadata
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from local.cloud.bodies import mend_bodies
from local.cloud.doorman import Doorman
from local.cloud.durability import COMPACT_AFTER_S, Durability
from local.cloud.fork import CopyFailed, in_a_copy
from local.cloud.journal import NotDurable
from local.cloud.queries import quick
from local.cloud.recovery import StateUnusable
from local.cloud.snapshots import ELSEWHERE, Snapshots, encoder
from local.home import OBJECTS, RECORDS, STATE
from local.supervisor import PROGRESS, REFUSED

# The launcher uses private names of MiniStack (service state, loading at startup): another version might
# silently save nothing.
MINISTACK = "1.5.33"
# Snapshots take at most this share of the time, however large the state has grown.
SNAPSHOT_SHARE = 0.05
SNAPSHOT_TIMEOUT_S = 60.0
# `SECRET_ACCESS_KEY` of local/resources.py, which needs boto3; this environment has none.
KNOWN_SECRET = "test"  # noqa: S105
HEARTBEAT_S = 3.0
# What the studio calls. Of the others some run code (Lambda, CloudFormation, ECS), and nobody signs for what is
# asked here: the keys are well known.
SERVICES = ("cognito-idp", "dynamodb", "monitoring", "s3", "sns", "sqs")


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM, SIGINT or SIGHUP; returns the exit code. Prints one line if it cannot run."""
    arguments = _arguments(argv)
    try:
        installed = importlib.metadata.version("ministack")
    except importlib.metadata.PackageNotFoundError:
        installed = "none"
    if installed != MINISTACK:
        _say(
            f"MiniStack {MINISTACK} is needed, this environment has {installed}: "
            f"run `{sys.executable} -m pip install -r local/requirements.txt`"
        )
        return 1
    try:
        snapshots = Snapshots(arguments.folder / STATE)
        snapshots.prepare(_say)
        objects = arguments.folder / OBJECTS
        objects.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _heartbeat("checking the objects"):
            lines = mend_bodies(objects)
        for line in lines:
            _say(line)
    except OSError as exc:
        _say(f"its folder {arguments.folder} cannot be used: {exc}")
        return 1
    os.environ.update(_environment(arguments, objects))
    return asyncio.run(_serve(arguments, snapshots))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.cloud", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="where state and objects are kept")
    parser.add_argument("--snapshot-s", type=float, default=10.0, help="seconds between two snapshots")
    parser.add_argument("--origin", action="append", default=[], help="a web origin that may call it")
    parser.add_argument("--allow-reset", action="store_true", help="answer POST /_ministack/reset (tests)")
    return parser.parse_args(argv)


def _environment(arguments: argparse.Namespace, objects: Path) -> dict[str, str]:
    """Return the environment variables that MiniStack reads when it is imported."""
    return {
        "GATEWAY_PORT": str(arguments.port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "localhost",
        "SERVICES": ",".join(SERVICES),
        "IOT_MTLS_ENABLED": "0",  # else it listens on 0.0.0.0:8883
        "SFTP_ENABLED": "0",
        "AUTH": "true",  # else private objects are public
        "PERSIST_STATE": "1",
        # Cognito keeps its signing keys here; the rest of the state is in the snapshots.
        "STATE_DIR": str((arguments.folder / "keys").absolute()),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(objects.absolute()),
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
        # Never use a Docker daemon of this machine.
        "DOCKER_HOST": "unix:///nonexistent/docker.sock",
    }


async def _serve(arguments: argparse.Namespace, snapshots: Snapshots) -> int:
    ministack: Any = importlib.import_module("ministack.app")
    with _heartbeat("reading the list of objects"):
        importlib.import_module("ministack.services.s3")
    persistence: Any = importlib.import_module("ministack.core.persistence")
    dynamodb: Any = importlib.import_module("ministack.services.dynamodb")
    dynamodb._query = quick(dynamodb._query, dynamodb._tables, dynamodb._lock, dynamodb._index_members)
    hypercorn: Any = importlib.import_module("hypercorn.asyncio")
    config: Any = importlib.import_module("hypercorn.config").Config()
    durability = Durability(
        arguments.folder / RECORDS,
        arguments.folder / OBJECTS,
        _say,
        compact_after_s=min(COMPACT_AFTER_S, arguments.snapshot_s),
    )
    try:
        # Before it listens: reading the records of 100,000 jobs takes longer than a server may take to start.
        durability.load(ministack, persistence, snapshots.legacy())
    except StateUnusable as exc:
        _say(str(exc))
        return REFUSED
    persistence.STATE_DIR = str(snapshots.current.absolute())
    _load_small_services(ministack)
    # MiniStack would load and save everything itself, in one file per service.
    ministack._load_persisted_state = lambda: None
    ministack.save_all = lambda _: None
    encode = encoder(persistence)
    one_at_a_time = asyncio.Lock()

    def write() -> int:
        states = {
            name: get()
            for name, get in ministack._build_persistence_save_dict().items()
            if name not in ELSEWHERE
        }
        return snapshots.write({name: state for name, state in states.items() if state is not None}, encode)

    async def save() -> int:
        async with one_at_a_time:
            # On the event loop, between two requests: MiniStack changes its dictionaries there. In a copy of the
            # process, so that nobody waits for the disk.
            return await in_a_copy(write, timeout_s=SNAPSHOT_TIMEOUT_S)

    doorman = Doorman(
        ministack.app,
        port=arguments.port,
        origins=arguments.origin,
        allow_reset=arguments.allow_reset,
        save=save,
        keep=durability,
        secret=os.environ.get("AWS_SECRET_ACCESS_KEY") or KNOWN_SECRET,
    )
    config.bind = [f"127.0.0.1:{arguments.port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1.0  # a long poll of an empty queue lasts 20 s
    config.loglevel = os.environ["LOG_LEVEL"]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_unless_cancelled)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    regularly = [
        asyncio.create_task(_save_regularly(doorman, save, arguments.snapshot_s)),
        asyncio.create_task(durability.compact_regularly()),
    ]
    code = 0
    try:
        await hypercorn.serve(doorman, config, shutdown_trigger=stop.wait)
    except OSError as exc:
        _say(f"port {arguments.port} cannot be used: {exc}")
        code = 1
    finally:
        for task in regularly:
            task.cancel()
        await asyncio.gather(*regularly, return_exceptions=True)
    try:
        durability.close()
    except NotDurable as exc:
        _say(str(exc))
        code = 1
    if code == 0:
        try:
            await save()
        except CopyFailed as exc:
            _say(f"{exc}; what was stored is safe, the worker finds the jobs whose messages are missing")
    return code


def _load_small_services(ministack: Any) -> None:
    for name in [name for name in ministack._state_map if name in ELSEWHERE]:
        # Their state is in the records; an old file would put back what has changed since.
        del ministack._state_map[name]
    ministack._load_persisted_state()


@contextlib.contextmanager
def _heartbeat(what: str) -> Iterator[None]:
    """Says every few seconds that `what` still goes on, as long as the process works at it."""
    done = threading.Event()

    def beat() -> None:
        worked, began = time.process_time(), time.monotonic()
        while not done.wait(HEARTBEAT_S):
            if time.process_time() > worked:
                _say(f"{PROGRESS}{what}, {time.monotonic() - began:.0f} s")
            worked = time.process_time()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _say(line: str) -> None:
    """Prints a line to the log. A log that cannot be written ends nothing."""
    with contextlib.suppress(OSError, ValueError):
        print(f"embedded cloud: {line}", file=sys.stderr, flush=True)


def _log_unless_cancelled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Hypercorn reports each connection that was open at the stop as a failed callback.
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


async def _save_regularly(doorman: Doorman, save: Any, interval_s: float) -> None:
    saved = doorman.changes
    pause_s = interval_s
    while True:
        await asyncio.sleep(pause_s)
        changes = doorman.changes
        if changes == saved:
            continue
        started = time.perf_counter()
        try:
            await save()
            saved = changes
        except CopyFailed as exc:
            _say(f"{exc}; trying again in {interval_s:.0f} s")
        pause_s = max(interval_s, (time.perf_counter() - started) / SNAPSHOT_SHARE)


if __name__ == "__main__":
    sys.exit(main())
