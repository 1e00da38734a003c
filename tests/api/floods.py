"""Bodies of about 12 MB that are costly to refuse value by value."""

from __future__ import annotations

from collections.abc import Callable

FLOODS: dict[str, Callable[[], bytes]] = {
    "unknown names": lambda: (
        b'{"prompt": "a", ' + b", ".join(b'"f%d": 1' % n for n in range(1_000_000)) + b"}"
    ),
    "values": lambda: b'{"prompt": [' + b"1," * 6_000_000 + b"1]}",
    "objects": lambda: b'{"prompt": [' + b"{}," * 4_000_000 + b"1]}",
    "brackets": lambda: b'{"prompt": "a", "seed": ' + b"[" * 6_000_000 + b"]" * 6_000_000 + b"}",
}
