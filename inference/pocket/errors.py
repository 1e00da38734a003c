"""What pocket's commands can fail with: one class, whose message says what was wrong and what to do."""

from __future__ import annotations


class PocketError(Exception):
    """A command cannot go on; nothing half-written replaces what was there before."""
