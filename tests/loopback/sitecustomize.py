"""Refuses connections to other machines in this process; Python imports this module at the start of each child.

`tests/conftest.py` installs it in the test process and adds this folder to PYTHONPATH, which the studio, the worker,
the embedded cloud and the model server inherit. An audit hook sees all connections of Python's sockets, including
those of event loops, and cannot be removed.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
# These never leave the machine, and some libraries use them to find the machine's address.
LOCAL_FAMILIES = frozenset({socket.AF_UNIX, socket.AF_NETLINK})


class LeavesTheMachine(Exception):
    """A test, or a process that it started, tried to connect to another machine."""


def is_loopback(address: Any) -> bool:
    """Returns whether a socket's address is on this machine; of host names, only `localhost` is."""
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
    """Refuses a connection to another machine, as an audit hook. Raises LeavesTheMachine."""
    if event not in EVENTS:
        return
    connection, address = arguments[0], arguments[1]
    if address is None or connection.family in LOCAL_FAMILIES or is_loopback(address):
        return
    raise LeavesTheMachine(f"tests stay on this machine; {event} to {address[0]!r} is refused")


def install() -> None:
    """Adds the audit hook, once per process."""
    if not getattr(sys, "_tests_stay_on_loopback", False):
        sys._tests_stay_on_loopback = True  # type: ignore[attr-defined]
        sys.addaudithook(refuse)


install()
