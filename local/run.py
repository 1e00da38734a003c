"""`make run`: starts the whole studio on one machine, prints its address, and stops everything at the end."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.home import Home, HomeUnusable
from local.people import make_people
from local.processes import ROOT, ChildFailed, leash_this_process, port_is_free
from local.resources import Resources, make_resources
from local.studio import (
    CLOUD,
    SAGEMAKER,
    STUDIO,
    WORKER,
    Layout,
    OptionUnusable,
    base_environment,
    cloud_part,
    read_local_models,
    read_options,
    read_port,
    sagemaker_part,
    studio_environment,
    studio_part,
    worker_part,
)
from local.supervisor import Part, Stopped, StopRequest, Supervisor
from services.errors import StudioError
from services.settings import Settings, SettingsError, load_settings

ExitCallback = Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], None]
LOW_SPACE_BYTES = 100_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until a signal; returns 0 after a signal, 1 when the studio could not be started."""
    parser = argparse.ArgumentParser(prog="python -m local.run", description=__doc__)
    parser.add_argument(
        "--leash", action="store_true", help="end when the process that started this one ends"
    )
    if parser.parse_args(argv).leash:
        leash_this_process()
    stop = StopRequest()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup make run` must keep running when the terminal is closed.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop.on_signal)
    try:
        with contextlib.ExitStack() as stack:
            _run(stack, stop)
    except Stopped:
        say("Stopped.")
        return 0
    except (HomeUnusable, OptionUnusable, ChildFailed, SettingsError, StudioError) as exc:
        say(f"atelier: {exc}", error=True)
    except (BotoCoreError, ClientError) as exc:
        say(f"atelier: the embedded cloud refused to make what the studio needs: {exc}", error=True)
    except OSError as exc:
        say(f"atelier: {exc.strerror or exc}{f': {exc.filename}' if exc.filename else ''}", error=True)
    return 1


def say(line: str, *, error: bool = False) -> None:
    """Prints a line, ignoring a terminal that is gone."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr if error else sys.stdout, flush=True)


def _run(stack: contextlib.ExitStack, stop: StopRequest) -> None:
    port, options, models = read_port(os.environ), read_options(os.environ), read_local_models(os.environ)
    home = Home(Path(os.environ.get("ATELIER_HOME") or ROOT / ".atelier"))
    own = base_environment(os.environ)
    os.environ.clear()
    os.environ.update(own)
    home.lock(f"http://localhost:{port}")
    stack.callback(home.close)
    for name in home.end_leftovers():
        say(f"Ended the {name} that an earlier studio, killed, left running.")
    if not port_is_free(port):
        raise OptionUnusable(f"port {port} is in use; choose another with PORT=...")
    layout = Layout(home, port, home.ports(port), options, models)
    supervisor = Supervisor(home.logs, say, home.remember_processes, stop)
    stack.push(_end_of(supervisor))
    credentials = Start(layout, supervisor).everything()
    say(_welcome(layout, credentials))
    supervisor.watch(_terminal_check(), lambda: _warn_of_low_space(home))


def _terminal_check() -> Callable[[], bool]:
    """Return a check of whether the terminal is still open.

    A closed terminal's SIGHUP goes to its first process, and some versions of `make` do not pass it on.
    """
    if not sys.stdout.isatty() or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return lambda: True
    return sys.stdout.isatty


def _end_of(supervisor: Supervisor) -> ExitCallback:
    """Stops everything, however the start or the watch ended."""

    def end(reason: type[BaseException] | None, *_: object) -> None:
        if reason is Stopped:
            say("Stopping ...")
        supervisor.stop()

    return end


def _warn_of_low_space(home: Home) -> None:
    try:
        home.check_space(LOW_SPACE_BYTES)
    except HomeUnusable as exc:
        say(f"Warning: {exc}")


@dataclass(frozen=True)
class Made:
    """The resources in the embedded cloud and the environment that leads the studio to them."""

    resources: Resources
    environment: dict[str, str]
    settings: Settings


class Start:
    """Starts one studio, each part after those it needs."""

    def __init__(self, layout: Layout, supervisor: Supervisor) -> None:
        self._layout = layout
        self._supervisor = supervisor
        self._made: Made | None = None

    def everything(self) -> dict[str, Any]:
        """Starts all parts, waits until each is ready, and returns the saved credentials."""
        layout, supervisor = self._layout, self._supervisor
        say("Starting the embedded cloud ...")
        supervisor.start(cloud_part(layout, self._after_cloud_restart))
        supervisor.wait_ready(CLOUD)
        made = self._make()
        say("Starting the local endpoint, the worker and the studio ...")
        for part in _dependents(layout, made):
            supervisor.start(part)
        credentials = self._make_people(made)
        for name in (SAGEMAKER, WORKER, STUDIO):
            supervisor.wait_ready(name)
        supervisor.check_all()
        return credentials

    def _make(self) -> Made:
        resources = make_resources(
            self._layout.cloud_url,
            public_url=self._layout.url,
            secret_access_key=self._layout.home.aws_secret(),
        )
        environment = studio_environment(self._layout, resources)
        # The same variables limit boto3 in this process to the embedded cloud.
        os.environ.update({name: value for name, value in environment.items() if name.startswith("AWS_")})
        self._made = Made(resources, environment, load_settings(environment))
        return self._made

    def _make_people(self, made: Made) -> dict[str, Any]:
        home = self._layout.home
        credentials = make_people(made.resources, made.settings, home.credentials(self._layout.url))
        home.save_credentials(credentials)
        return credentials

    def _after_cloud_restart(self) -> None:
        """Creates again what the cloud lacks; restarts the other processes if something got a new id."""
        before = self._made
        try:
            made = self._make()
            self._make_people(made)
        except (StudioError, BotoCoreError, ClientError, OSError) as exc:
            raise ChildFailed(f"the embedded cloud could not be set up again: {exc}") from exc
        if before is None or made.resources != before.resources:
            say("The embedded cloud was set up again; restarting what uses it.")
            for part in _dependents(self._layout, made):
                self._supervisor.restart(part)


def _dependents(layout: Layout, made: Made) -> list[Part]:
    return [
        sagemaker_part(layout, made.resources),
        worker_part(made.environment),
        studio_part(layout, made.environment),
    ]


def _welcome(layout: Layout, credentials: Mapping[str, Any]) -> str:
    lines = ["", f"Atelier is ready: {layout.url}", ""]
    for role in ("maker", "admin"):
        person = credentials[role]
        lines += [
            f"  {role:6} {person.get('username', person['email'])}   password {person['password']}",
            f"         API key {person['api_key']}",
        ]
    curl = [
        f"curl -sS {layout.url}/v1/jobs -H 'Authorization: Bearer {credentials['maker']['api_key']}'",
        "-H 'Content-Type: application/json' -H 'Prefer: wait=60' -d '{\"prompt\": \"a red apple\"}'",
    ]
    return "\n".join(
        [
            *lines,
            "",
            "Make a picture from the command line:",
            f"  {' '.join(curl)}",
            "",
            f"All of this is also in {layout.home.folder / 'credentials.json'}. Ctrl-C stops the studio.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
