"""Starts the server's model once with compiling: `python -m bench.model.gpu_start FOLDER CACHE` prints the seconds."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench.model.contestants import load_ours
from inference.pipelines.speed import SpeedWishes

if __name__ == "__main__":
    began = time.perf_counter()
    model = load_ours(Path(sys.argv[1]), SpeedWishes(compile="on", compile_cache_dir=Path(sys.argv[2])))
    loaded = time.perf_counter()
    model.warm_up()
    warm = time.perf_counter()
    print(json.dumps({"load_s": loaded - began, "warm_up_s": warm - loaded}), flush=True)
