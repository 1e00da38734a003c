"""A process that loads one model as the server does, draws, and says what was imported; for `test_lean_imports.py`.

`python -m tests.inference.lean_process FOLDER REQUESTS [compile]`: requests as a JSON list; the answer is JSON too.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from inference.contract import Payload
from inference.pipelines.found_model import find_model
from inference.pipelines.lean_imports import COMPILER
from inference.pipelines.load_model import load_model
from inference.serve import set_library_environment
from tests.inference.onlookers import Onlooker


def draw_all(model: Any, requests: list[dict[str, Any]]) -> list[str]:
    """Return the hash of the first picture of each request."""
    drawn = [model.draw([Payload(**request)], Onlooker())[0].pictures[0] for request in requests]
    return [hashlib.sha256(picture.tobytes()).hexdigest() for picture in drawn]


def imported() -> list[str]:
    """Return the modules that are there; what only stands for the compiler is not."""
    absent = {COMPILER} if getattr(sys.modules.get(COMPILER), "is_real", True) is False else set()
    return sorted({name for name, module in sys.modules.items() if module is not None} - absent)


def main(folder: Path, requests: list[dict[str, Any]], then: str | None = None) -> dict[str, Any]:
    """Load, draw, and compile a function afterwards where that is asked for."""
    set_library_environment()
    model = load_model(find_model(folder)[0], threads=1, lean=True)
    said: dict[str, Any] = {"drawn": draw_all(model, requests), "imported": imported()}
    if then == "compile":
        import torch

        said["modes"] = torch._dynamo.config.verbose in (True, False)
        said["compiled"] = torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)).tolist()
        said["imported_then"] = imported()
    return said


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), json.loads(sys.argv[2]), *sys.argv[3:])))
