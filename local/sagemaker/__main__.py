"""`python -m local.sagemaker --config FILE`: runs the local endpoint until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import fcntl
import os
import socket
import sys
from pathlib import Path

import uvicorn

from local.sagemaker.config import Config, ConfigError, load
from local.sagemaker.log import event
from local.sagemaker.server import create_app

CONNECTION_GRACE_S = 5


def main(arguments: list[str] | None = None) -> int:
    """Serves; returns 2 and prints one line when the settings, the state folder or the port cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m local.sagemaker", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="settings, a JSON file")
    try:
        config = load(parser.parse_args(arguments).config)
        config.state_dir.mkdir(parents=True, exist_ok=True)
    except (ConfigError, OSError) as exc:
        print(exc, file=sys.stderr)
        return 2
    with (config.state_dir / "lock").open("w") as lock:
        try:
            # Two servers on one journal would run each request twice.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            listener = _listen(config)
        except BlockingIOError:
            print(
                f"{config.state_dir}: another local endpoint is using it; stop that one first",
                file=sys.stderr,
            )
            return 2
        except OSError as exc:
            print(
                f"{config.host}:{config.port}: {os.strerror(exc.errno or 0)}; "
                "stop what listens there, or change the port",
                file=sys.stderr,
            )
            return 2
        with listener:
            try:
                _serve(config, listener)
            except KeyboardInterrupt:
                return 130
    return 0


def _listen(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.create_server((config.host, config.port), family=family, backlog=256)
    # asyncio sets this only if the socket states its protocol. Without it, each answer on a kept connection waits 40 ms
    # for the client's delayed acknowledgment. Accepted connections inherit it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _serve(config: Config, listener: socket.socket) -> None:
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config),
            lifespan="on",
            ws="none",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=CONNECTION_GRACE_S,
        )
    )
    event("listening", host=config.host, port=config.port)
    server.run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
