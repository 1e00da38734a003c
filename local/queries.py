"""A quick answer to the question the studio asks most: which items of a partition have sort keys that begin so.

MiniStack reads the key condition anew for each item of the partition: with 10,000 pictures a page took a second. The
condition's meaning stays; any other one than these goes MiniStack's own way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PREFIX = "PK = :pk AND begins_with(SK, :prefix)"

Evaluate = Callable[..., bool]


def quick(evaluate: Evaluate) -> Evaluate:
    """`evaluate` (MiniStack's `_evaluate_condition`), with a short way for `PREFIX` over items with text keys."""

    def evaluated(
        condition: str, item: dict[str, Any], values: dict[str, Any], *more: Any, **options: Any
    ) -> bool:
        if condition == PREFIX:
            try:
                same = item["PK"]["S"] == values[":pk"]["S"]
                return bool(same and item["SK"]["S"].startswith(values[":prefix"]["S"]))
            except (KeyError, TypeError):
                pass
        return evaluate(condition, item, values, *more, **options)

    return evaluated
