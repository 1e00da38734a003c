"""Tests that loading with frozen imports pauses garbage collection and does not change the pictures."""

from __future__ import annotations

import gc
import hashlib
import json
import subprocess
import sys
from typing import Any

import pytest

from inference.contract import Payload
from inference.pipelines.found_model import find_model
from inference.pipelines.load_model import load_model
from tests.inference.client import PAYLOAD
from tests.inference.onlookers import Onlooker
from tests.inference.processes import ROOT, clean_environment

POCKET = ROOT / "inference/pocket/weights"
REQUEST = {**PAYLOAD, "num_inference_steps": 3}

# Records collections during the imports, that is, when torch is imported and nothing is frozen yet.
PROCESS = """
import gc, json, sys
from inference.serve import set_library_environment
set_library_environment()
from inference.pipelines.found_model import find_model
from inference.pipelines.load_model import load_model
from tests.inference.test_load_model import POCKET, first_picture
assert "torch" not in sys.modules
meanwhile, seen = [], []
def note(phase, info):
    seen.append(phase)
    if phase == "start" and "torch" in sys.modules and gc.get_freeze_count() == 0:
        meanwhile.append(info["generation"])
gc.callbacks.append(note)
model = load_model(find_model(POCKET)[0], threads=1, freeze_imports=True)
drawn = first_picture(model)
gc.collect()
print(json.dumps({
    "drawn": drawn,
    "meanwhile": meanwhile,
    "seen": len(seen),
    "frozen": gc.get_freeze_count(),
    "collects": gc.isenabled(),
}))
"""


def first_picture(model: Any) -> str:
    """Return the hash of a picture drawn by the model."""
    picture = model.draw([Payload(**REQUEST)], Onlooker())[0].pictures[0]
    return hashlib.sha256(picture.tobytes()).hexdigest()


# Raised in diffusers' schedulers with numpy 2.
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_no_garbage_is_collected_while_the_server_imports_and_the_picture_is_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        cwd=ROOT,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])

    assert said["meanwhile"] == []
    assert said["seen"] > 0
    assert said["frozen"] > 200_000
    assert said["collects"]
    before = gc.get_freeze_count()
    assert said["drawn"] == first_picture(load_model(find_model(POCKET)[0], threads=1))
    # Without `freeze_imports`, as in these tests, nothing is frozen.
    assert gc.get_freeze_count() == before
