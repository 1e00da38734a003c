"""Runs `python -m local.run` with the stub as its model server: `python -m tests.stub.studio`."""

from __future__ import annotations

import sys
from typing import Any

from local import run, studio
from local.processes import STUDIO_PYTHON
from local.resources import Resources

as_installed = studio.sagemaker_config


def with_stub(layout: studio.Layout, resources: Resources) -> dict[str, Any]:
    """Returns the local endpoint's settings with the stub as its container program."""
    config = as_installed(layout, resources)
    for endpoint in config["endpoints"]:
        endpoint["command"] = [str(STUDIO_PYTHON), "-m", "tests.stub.model"]
    return config


if __name__ == "__main__":
    studio.sagemaker_config = with_stub
    sys.exit(run.main())
