"""That tests stay on this machine: in their own process, in event loops, and in the processes they start."""

from __future__ import annotations

import asyncio
import socket
import subprocess

import pytest

from local.processes import CLOUD_PYTHON, INFERENCE_PYTHON, STUDIO_PYTHON

# Addresses for documentation (RFC 5737, 3849): nobody has them, should the refusal fail.
ELSEWHERE = [("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6)]
REFUSED = "tests stay on this machine"


@pytest.mark.parametrize(("address", "family"), ELSEWHERE)
def test_a_connection_to_another_machine_is_refused(address: str, family: socket.AddressFamily) -> None:
    with socket.socket(family) as sock, pytest.raises(Exception, match=REFUSED):
        sock.connect((address, 443))
    with socket.socket(family) as sock, pytest.raises(Exception, match=REFUSED):
        sock.connect_ex((address, 443))
    with socket.socket(family, socket.SOCK_DGRAM) as sock, pytest.raises(Exception, match=REFUSED):
        sock.sendto(b"", (address, 53))


def test_an_event_loop_is_refused_too() -> None:
    with pytest.raises(Exception, match=REFUSED):
        asyncio.run(asyncio.wait_for(asyncio.open_connection("192.0.2.1", 443), 10))


@pytest.mark.parametrize("python", [STUDIO_PYTHON, CLOUD_PYTHON, INFERENCE_PYTHON], ids=lambda p: p.parts[-3])
def test_a_process_that_a_test_starts_is_refused_too(python: object) -> None:
    connect = "import socket; socket.create_connection(('192.0.2.1', 443), timeout=5)"
    ended = subprocess.run(
        [str(python), "-c", connect], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert REFUSED in ended.stderr


def test_loopback_and_sockets_of_the_file_system_are_not() -> None:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.create_server((host, 0), family=family) as server:
            socket.create_connection(server.getsockname()[:2], timeout=5).close()
    left, right = socket.socketpair()
    left.close()
    right.close()
