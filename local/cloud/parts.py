"""The state of a service as many small parts, so that a change of one user is not a copy of all.

A service's state is a tree of dictionaries. A part is a value in it at most `DEPTH` keys deep, named by its path.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# user_pools, data, a pool, _users, a user.
DEPTH = 5

Path = tuple[str, ...]
# `[path, value]` for each part that changed, `[path]` for one that is gone.
Changes = list[list[Any]]


def flatten(tree: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yields the parts of `tree`. An empty dictionary is a part of its own."""
    for key, value in tree.items():
        inner = (*path, key)
        if isinstance(value, dict) and value and len(inner) < DEPTH:
            yield from flatten(value, inner)
        else:
            yield inner, value


def unflatten(parts: Mapping[Path, Any]) -> dict[str, Any]:
    """Returns the tree of these parts."""
    tree: dict[str, Any] = {}
    for path, value in parts.items():
        node = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
        node[path[-1]] = value
    return tree


def apply(parts: dict[Path, Any], changes: Changes) -> None:
    """Applies `changes`, read from a record, to `parts`."""
    for path, *value in changes:
        if value:
            parts[tuple(path)] = value[0]
        else:
            parts.pop(tuple(path), None)


class PartsOfService:
    """Finds what changed in the state of one service since the last look."""

    def __init__(
        self, state: Callable[[], Any], default: Callable[[Any], Any], known: Mapping[Path, Any]
    ) -> None:
        """`state` returns the service's state, `default` encodes what JSON does not know, `known` is on disk."""
        self._state = state
        self._default = default
        self._known = {path: json.dumps(value) for path, value in known.items()}

    def changes(self) -> Changes:
        """Returns what changed since the last call; what is gone comes first."""
        # Removes all types that only MiniStack knows; copies, as the state may change after this.
        tree = json.loads(json.dumps(self._state(), default=self._default))
        now = {path: json.dumps(value) for path, value in flatten(tree)}
        changed: Changes = [[list(path)] for path in self._known if path not in now]
        changed += [
            [list(path), json.loads(text)] for path, text in now.items() if self._known.get(path) != text
        ]
        self._known = now
        return changed

    def forget(self) -> None:
        """Nothing is on disk any more: the next call of `changes` returns all parts."""
        self._known = {}
