"""`python -m infra.jumpstart MODEL_ID [--region R]`: writes a JumpStart model as Terraform variables (.tfvars.json)."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from infra.jumpstart.errors import JumpStartError
from infra.jumpstart.variables import render

DEFAULT_REGION = "us-east-1"


def main(arguments: list[str]) -> int:
    """Parse the command line and write the file; returns 1, after one line on stderr, when nothing was written."""
    parser = argparse.ArgumentParser(prog="python -m infra.jumpstart", description=__doc__)
    parser.add_argument("model_id", help="such as model-txt2img-stabilityai-stable-diffusion-v2-1-base")
    parser.add_argument("--region", default=os.environ.get("AWS_REGION") or DEFAULT_REGION)
    parser.add_argument("--version", default="*", help="such as 3.0.5 or 3.*; default: the newest")
    parser.add_argument("--instance-type", help="such as ml.g5.2xlarge; default: the model's own choice")
    parser.add_argument("--out", type=Path, help="the file to write; default: standard output")
    options = parser.parse_args(arguments)

    # Imported late: the SDK takes seconds to load, which a wrong command line need not wait for.
    from infra.jumpstart.resolve import resolve

    try:
        text = render(resolve(options.model_id, options.version, options.region, options.instance_type))
    except JumpStartError as exc:
        print(f"jumpstart: {exc}", file=sys.stderr)
        return 1
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")
        print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
