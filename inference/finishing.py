"""Turns drawn pictures into the answer's bytes, off the model thread: checked, encoded, and with a hint."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.check import OutputGate
from inference.contract import Hint, ImageFormat, Succeeded, Timings
from inference.encoding import encode_picture
from inference.logs import describe_failure, log
from inference.pipelines.family import Drawing, Model
from inference.tickets import Outcome, Ticket

KNOWN_FILE = "known.json"


def no_hint(_prompt: str) -> Hint | None:
    """Return None: for models without a list of what they know."""
    return None


class FolderHints:
    """Hints from a model folder's `known.json`; none for a folder without it."""

    def __init__(self, model_dir: Path) -> None:
        self._model_dir = model_dir
        self._find: Callable[[str], Any] = no_hint

    def open(self) -> None:
        """Read what the model knows, about 0.2 s. Raises `StartError` naming the file when it is broken."""
        if not (self._model_dir / KNOWN_FILE).exists():
            return
        # Imported here, so that other models do not pay for it.
        from inference.pocket.known import Known

        known = Known.open(self._model_dir)
        if known is not None:
            self._find = known.hint

    def __call__(self, prompt: str) -> Hint | None:
        """Return the nearest known things for a prompt that is far from all of them."""
        try:
            found = self._find(prompt)
        except Exception as exc:  # noqa: BLE001 - a failed hint must not cost the pictures
            log("error", "hint_failed", **describe_failure(exc))
            return None
        return None if found is None else Hint(nearest=found.nearest, likeness=found.likeness)


@dataclass(frozen=True)
class Finishing:
    """Checks, encodes, and answers. Thread-safe: several requests can be finished at a time."""

    gate: OutputGate
    image_format: ImageFormat = "png"
    hint: Callable[[str], Hint | None] = no_hint

    def answer(
        self, model: Model, ticket: Ticket, outcome: Outcome, drawing: Drawing, received: float
    ) -> bytes:
        """Return the answer as JSON; `received` is when the request arrived (time.monotonic()).

        Raises `ModelError` when the check fails. A withheld picture is never encoded.
        """
        payload = ticket.payload
        started = time.monotonic()
        verdicts = self.gate.judge(drawing.pictures)
        checked = time.monotonic()
        images = [
            encode_picture(picture, seed, self.image_format, verdict)
            for picture, seed, verdict in zip(drawing.pictures, payload.seeds(), verdicts, strict=True)
        ]
        encoded = time.monotonic()
        hint = self.hint(payload.prompt)
        timings = Timings(
            queue_s=round(outcome.queue_s, 4),
            load_s=round(outcome.load_s, 4),
            encode_text_s=round(drawing.encode_text_s, 4),
            denoise_s=round(drawing.denoise_s, 4),
            decode_s=round(drawing.decode_s, 4),
            check_s=round(checked - started, 4),
            encode_s=round(encoded - checked, 4),
            total_s=round(time.monotonic() - received, 4),
        )
        answer = Succeeded(
            images=images,
            hint=hint,
            model=model.reference,
            timings=timings,
            batch_pictures=outcome.batch_pictures,
            gpu_s=round(outcome.gpu_s, 4),
            peak_memory_bytes=drawing.peak_memory_bytes,
            device=model.device,
            versions=model.versions,
        )
        body = answer.model_dump_json().encode()
        ticket.log(
            "request_answered",
            check_s=timings.check_s,
            encode_s=timings.encode_s,
            total_s=timings.total_s,
            withheld=sum(image.withheld is not None for image in images),
            hinted=hint is not None,
            answer_bytes=len(body),
        )
        return body
