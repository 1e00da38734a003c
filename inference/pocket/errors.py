"""The error of pocket's commands: its message says what was wrong and what to do."""

from __future__ import annotations


class PocketError(Exception):
    """A command cannot continue. Existing files are never replaced by incomplete ones."""
