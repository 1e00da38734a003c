"""The things that a training run covers: the named selections of `selection.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field

from inference.pocket.dataset import DataSet, Row
from inference.pocket.errors import PocketError
from inference.pocket.folders import HERE

EVERYTHING = "everything"


@dataclass(frozen=True)
class Selection:
    """The rows of a run. `emphasis` is how many times as often a name is shown."""

    rows: tuple[Row, ...]
    emphasis: dict[str, float] = field(default_factory=dict)


def select(dataset: DataSet, name: str) -> Selection:
    """Return the rows of a named selection, or all rows.

    Raises `PocketError` when the selection does not exist, or names things that the data set lacks.
    """
    if name == EVERYTHING:
        return Selection(dataset.rows)
    wanted = _read(name)
    names = frozenset(wanted["names"])
    rows = dataset.select(frozenset(wanted["styles"]), names)
    missing = names - {row.name for row in rows}
    if missing:
        raise PocketError(f"selection {name}: the data set has no {', '.join(sorted(missing))}.")
    return Selection(tuple(rows), dict(wanted.get("emphasis", {})))


def _read(name: str) -> dict[str, dict[str, float]]:
    file = HERE / "selection.toml"
    selections = tomllib.loads(file.read_text(encoding="utf-8"))
    if name not in selections:
        raise PocketError(
            f"there is no selection {name!r}: {', '.join([*selections, EVERYTHING])} are known."
        )
    found: dict[str, dict[str, float]] = selections[name]
    return found
