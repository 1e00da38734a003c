"""The hostile files at the other door: pictures that come with a request, to be drawn over."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from services.errors import InvalidRequest
from services.inputs import MAX_FILE_BYTES, check
from services.records import JobRequest
from tests import hostile_files as files

# Whole pictures with something beside their pixels, which are all that a model is given.
TAKEN: dict[str, Callable[[], bytes]] = {
    "polyglot": files.polyglot,
    "metadata_of_5_mb": files.much_metadata,
    "too_long_prompt": files.refused()["too_long_prompt"],
    "place": lambda: files.with_exif("JPEG", files.tiff(place=True)),
}
REFUSED: dict[str, Callable[[], bytes]] = {
    **{name: make for name, make in files.refused().items() if name not in TAKEN},
    "bomb_of_pixels": files.bomb_of_pixels,
    "animated": lambda: files.with_exif("WEBP", files.tiff(), frames=3),
    "no_pixels": lambda: files.webp_with(files.overlapping_exif()),
}
# What Pillow's own modules take when they are first used is not the file's doing.
OVERHEAD_BYTES = 8_000_000


def peak_of(file: bytes) -> tuple[str | None, int]:
    """Why the file was refused, None when it was taken, and the most memory that was in use, in bytes."""
    tracemalloc.start()
    try:
        check(JobRequest(prompt="a red apple", image=file))
        said = None
    except InvalidRequest as refused:
        assert refused.param == "image"
        said = refused.message
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return said, peak


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_picture_is_refused_in_words_and_bounded_memory(name: str) -> None:
    file = REFUSED[name]()
    said, peak = peak_of(file)
    assert said is not None and said.startswith("The image ") and said.endswith(".")
    assert peak < OVERHEAD_BYTES + 4 * min(len(file), MAX_FILE_BYTES)


@pytest.mark.parametrize("name", TAKEN)
def test_a_picture_with_something_beside_its_pixels_is_taken_in_bounded_memory(name: str) -> None:
    file = TAKEN[name]()
    said, peak = peak_of(file)
    assert said is None
    assert peak < OVERHEAD_BYTES + 4 * len(file)
