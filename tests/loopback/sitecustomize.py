"""Refuses every connection that leaves this machine, in this process; Python imports it at the start of each child.

`tests/conftest.py` installs it in the tests' own process and puts this folder into PYTHONPATH, which the studio, the
worker, the embedded cloud and the model server inherit. An audit hook sees all connections of Python's sockets, those
of event loops too, and cannot be taken away again.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
# Nothing leaves the machine through these, and some libraries ask them for the machine's own address.
LOCAL_FAMILIES = frozenset({socket.AF_UNIX, socket.AF_NETLINK})


class LeavesTheMachine(Exception):
    """A test, or a process that it started, wanted to talk to another machine."""


def is_loopback(address: Any) -> bool:
    """Whether a socket's address is on this machine; `localhost` is, and a name that has to be looked up is not."""
    if not isinstance(address, tuple):
        return True
    host = str(address[0])
    if host in {"", "localhost"}:
        return True
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return found.is_loopback or found.is_unspecified


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook. Raises LeavesTheMachine."""
    if event not in EVENTS:
        return
    connection, address = arguments[0], arguments[1]
    if address is None or connection.family in LOCAL_FAMILIES or is_loopback(address):
        return
    raise LeavesTheMachine(f"tests stay on this machine; {event} to {address[0]!r} is refused")


def install() -> None:
    """Refuses from here on, once a process."""
    if not getattr(sys, "_tests_stay_on_loopback", False):
        sys._tests_stay_on_loopback = True  # type: ignore[attr-defined]
        sys.addaudithook(refuse)


install()
