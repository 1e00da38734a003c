"""Opaque list cursors: the sort key of a page's last item."""

from __future__ import annotations

import base64
import binascii
import json

from services.errors import InvalidRequest

MOST_CHARACTERS = 200
# A sort key in JSON and base64; what is longer is no cursor, and is not decoded.
LONGEST_CURSOR = 2 * MOST_CHARACTERS


def cursor(sk: str) -> str:
    """Returns the cursor of the page that ends with this sort key."""
    return base64.urlsafe_b64encode(json.dumps(sk).encode()).decode().rstrip("=")


def read_cursor(text: str, prefix: str) -> str:
    """Returns a cursor's sort key. Raises InvalidRequest for one that no list of this prefix returned."""
    try:
        sk = json.loads(base64.urlsafe_b64decode(text[:LONGEST_CURSOR] + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        sk = None
    if not isinstance(sk, str) or not sk.startswith(prefix) or len(sk) > MOST_CHARACTERS:
        raise InvalidRequest(
            "The cursor in 'after' is not one that a list returned. Start again without it.", param="after"
        )
    return sk
