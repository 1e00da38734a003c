"""Tests of finishing pictures: the check, withheld pictures, the hint, and the log."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from inference.check import OutputGate
from inference.contract import Hint
from inference.errors import StartError
from inference.finishing import Finishing, FolderHints
from inference.pipelines.family import Pixels
from tests.inference.client import invoke
from tests.inference.conftest import LocalServer

StartServer = Callable[..., LocalServer]


class Scores:
    """A check that returns the given scores in order, and records the pictures."""

    def __init__(self, *scores: float) -> None:
        self._scores = list(scores)
        self.seen: list[Pixels] = []

    def scores(self, pictures: Sequence[Pixels]) -> list[float]:
        """Return the next scores."""
        self.seen.extend(pictures)
        return [self._scores.pop(0) for _ in pictures]


def gate(check: Scores) -> OutputGate:
    made = OutputGate(0.8, load=lambda: check)
    made.start()
    made.wait()
    return made


def test_a_flagged_picture_is_withheld_and_the_others_are_returned(local_server: StartServer) -> None:
    check = Scores(0.1, 0.95, 0.2)
    server = local_server(finishing=Finishing(gate(check)))

    answer = invoke(server.port, num_images_per_prompt=3)

    first, flagged, last = answer.json["images"]
    assert (flagged["withheld"], flagged["nsfw"]) == ("nsfw", 0.95)
    assert flagged["data"] is None
    assert flagged["sha256"] is None
    assert (flagged["seed"], flagged["width"]) == (8, 64)
    for image, score in ((first, 0.1), (last, 0.2)):
        assert (image["withheld"], image["nsfw"]) == (None, score)
        assert Image.open(io.BytesIO(base64.b64decode(image["data"]))).size == (64, 64)
    # The answer contains no encoding of the withheld picture.
    assert len(check.seen) == 3
    for file_format in ("PNG", "WEBP"):
        stream = io.BytesIO()
        Image.fromarray(check.seen[1]).save(
            stream, file_format, **({"lossless": True} if file_format == "WEBP" else {"compress_level": 1})
        )
        assert base64.b64encode(stream.getvalue())[:400] not in answer.body


def test_unchecked_pictures_are_not_returned(
    local_server: StartServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server = local_server(finishing=Finishing(gate(Scores())))

    answer = invoke(server.port)

    assert (answer.status, answer.error["code"]) == (500, "model_error")
    assert "check_failed" in capsys.readouterr().err


def test_pictures_can_be_lossless_webp(local_server: StartServer) -> None:
    server = local_server(finishing=Finishing(OutputGate(None), "webp"))

    image = invoke(server.port).json["images"][0]
    picture = Image.open(io.BytesIO(base64.b64decode(image["data"])))

    assert (image["format"], picture.format) == ("webp", "WEBP")
    assert (image["nsfw"], image["withheld"]) == (None, None)


def test_a_prompt_far_from_what_the_model_knows_gets_a_hint(local_server: StartServer) -> None:
    def hint(prompt: str) -> Hint | None:
        return None if "apple" in prompt else Hint(nearest=["cat face", "lion"], likeness=0.31)

    server = local_server(finishing=Finishing(OutputGate(None), hint=hint))

    assert invoke(server.port).json["hint"] is None
    far = invoke(server.port, prompt="quantum chromodynamics")
    assert far.json["hint"] == {"nearest": ["cat face", "lion"], "likeness": 0.31}


def test_hints_come_from_the_model_folder(tmp_path: Path) -> None:
    nothing = FolderHints(tmp_path)
    nothing.open()
    (tmp_path / "known.json").write_text("{", encoding="utf-8")
    broken = FolderHints(tmp_path)

    assert nothing("quantum chromodynamics") is None
    with pytest.raises(StartError, match=r"known\.json"):
        broken.open()


def test_a_hint_that_fails_costs_no_picture(
    local_server: StartServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[str] = []

    def fail(prompt: str) -> Hint:
        asked.append(prompt)
        raise ZeroDivisionError

    hints = FolderHints(tmp_path)
    monkeypatch.setattr(hints, "_find", fail)
    server = local_server(finishing=Finishing(OutputGate(None), hint=hints))

    answer = invoke(server.port)

    assert asked == ["a red apple"]
    assert (answer.status, answer.json["hint"]) == (200, None)
    assert "hint_failed" in capsys.readouterr().err


def test_the_log_shows_the_time_of_each_stage(
    local_server: StartServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server = local_server(finishing=Finishing(gate(Scores(0.0))))

    answer = invoke(server.port)

    events = {}
    for line in capsys.readouterr().err.splitlines():
        event = json.loads(line)
        events[event["event"]] = event
    drawn, answered = events["request_drawn"], events["request_answered"]
    for name in ("queue_s", "load_s", "encode_text_s", "denoise_s", "decode_s"):
        assert drawn[name] == pytest.approx(answer.json["timings"][name], abs=0.001)
    for name in ("check_s", "encode_s", "total_s"):
        assert answered[name] == answer.json["timings"][name]
    assert drawn["gpu_s"] == pytest.approx(answer.json["gpu_s"], abs=0.001)
    assert drawn["peak_memory_bytes"] == answer.json["peak_memory_bytes"] > 0
    assert answered["answer_bytes"] == len(answer.body)
