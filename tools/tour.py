"""The pictures of docs/tour.md: makes WebP files of the screenshots that `tests/browser/test_tour.py` left.

`make tour` runs both.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SHOTS = ROOT / "build/tour"
PICTURES = ROOT / "docs/images/tour"
WIDEST_PX = 1360
QUALITY = 78


def main() -> int:
    """Write them, replacing what was there; returns the exit code."""
    shots = sorted(SHOTS.glob("*.png"))
    if not shots:
        print(f"tour: no screenshots in {SHOTS}: run tests/browser/test_tour.py first", file=sys.stderr)
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    for shot in shots:
        with Image.open(shot) as picture:
            small = picture.convert("RGB")
        small.thumbnail((WIDEST_PX, 2 * WIDEST_PX))
        target = PICTURES / f"{shot.stem}.webp"
        small.save(target, "WEBP", quality=QUALITY, method=6)
        print(
            f"{target.relative_to(ROOT)}: {small.width} x {small.height}, {target.stat().st_size // 1024} kB"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
