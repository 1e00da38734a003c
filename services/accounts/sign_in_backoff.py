"""Slows down password guessing without locking anyone else out."""

from __future__ import annotations

import ipaddress
import time

from services.errors import LimitReached
from services.logs import event
from services.sentences import sentence
from services.store.sign_in_attempts import SignInAttemptStore

# Failures without a delay.
FREE_FAILURES = 5
FIRST_WAIT_S = 5
LONGEST_WAIT_S = 900
# Longer than the longest wait, so that waiting it out does not begin the count again.
FORGET_S = 24 * 3600
# One customer of an Internet provider has at least this much of IPv6.
IPV6_CUSTOMER_BITS = 64


class SignInBackoff:
    """Counts wrong passwords by username and address, and for a browser that signed in before by that browser.

    There is no lock of a username alone: a stranger could keep its owner out with it. A stranger behind the owner's own
    address does not stop the owner's known browsers.
    """

    def __init__(self, attempts: SignInAttemptStore) -> None:
        self._attempts = attempts

    def begin(self, username: str, address: str, *, device: str | None = None) -> None:
        """Counts an attempt before its password is checked. Two AWS calls.

        `device` is the id of a browser in which this very user signed in before. Raises LimitReached, with the seconds
        to wait, when too many attempts failed.
        """
        origin = _origin(username, address, device)
        wait_s = self._attempts.count(origin, int(time.time()), wait_after, keep_s=FORGET_S)
        if wait_s:
            event("local_sign_in_delayed", wait_s=wait_s)
            raise LimitReached(
                sentence("Too many sign-ins failed. Try again in {seconds} seconds.", seconds=wait_s),
                code="too_many_sign_ins",
                retry_after_s=wait_s,
            )

    def succeeded(self, username: str, address: str, *, device: str | None = None) -> None:
        """Forgets the failures of the origin whose password was right. One AWS call."""
        self._attempts.clear(_origin(username, address, device))


def wait_after(failures: int) -> int:
    """How many seconds the next attempt waits after so many failures in a row: doubles from 5 s up to 15 min."""
    if failures < FREE_FAILURES:
        return 0
    # The exponent is cut because the count of a patient guesser has no limit.
    return min(LONGEST_WAIT_S, FIRST_WAIT_S << min(failures - FREE_FAILURES, 10))


def _origin(username: str, address: str, device: str | None) -> tuple[str, ...]:
    name = username.strip().lower()
    return ("address", name, customer_of(address)) if device is None else ("device", name, device)


def customer_of(address: str) -> str:
    """The part of an address that its owner cannot vary freely."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_CUSTOMER_BITS), strict=False))
