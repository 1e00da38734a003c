"""Tests of every hostile file in every upload field: refused or reduced to pixels, and never stored."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable

import pytest
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFile, UploadedFileRec
from streamlit.testing.v1 import AppTest

from app.state import source_choice
from services.aws.session import make_clients
from services.build import Studio
from services.formats.image_header import read_header
from services.formats.png_metadata import chunks
from services.records import User
from tests import hostile_files as files
from tests.fields import file_fields

# Prefix of the uploader's key -> name of the field in the code.
DOORS = {
    "recall_file": "recall_drop.recall_drop: Drop a picture from Atelier, A1111, ComfyUI, InvokeAI, or SwarmUI",
    "source_file": "source_picture._uploader: A PNG, JPEG or WebP picture",
    "mask_file": "source_picture._part: A mask: white is redrawn, black is kept",
}
CORPUS = files.refused() | files.refused_as_pictures() | files.beside_pixels()
PIXELS = files.beside_pixels()
HOSTILE_NAME = "![x](http://evil.example/n)<img id=pwn src=x>\u202egnp.png"
# A message about a file: one sentence with escaped punctuation.
SAID = r"(:red\[:material/error: )?[A-Z].*\\\.\]?$"
# The largest file is 100 MB, and the test holds more than one copy; one decompressed bomb takes 900 MB.
MOST_GROWTH_KB = 600_000


def test_every_upload_field_in_the_code_is_covered_by_these_tests() -> None:
    assert set(DOORS.values()) == file_fields()


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> list[MemoryUploadedFileManager]:
    """Records the upload store that received each file."""
    seen: list[MemoryUploadedFileManager] = []
    add = MemoryUploadedFileManager.add_file

    def noted(store: MemoryUploadedFileManager, session_id: str, file: UploadedFileRec) -> None:
        add(store, session_id, file)
        seen.append(store)

    monkeypatch.setattr(MemoryUploadedFileManager, "add_file", noted)
    return seen


@pytest.mark.parametrize("door", DOORS)
def test_a_hostile_file_is_refused_with_a_message_or_sanitized_and_not_kept(
    door: str,
    open_page: Callable[..., AppTest],
    studio: Studio,
    maker: User,
    stores: list[MemoryUploadedFileManager],
) -> None:
    at = open_page()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, (name, make) in enumerate(CORPUS.items(), start=1):
        file = make()
        if door == "mask_file":
            header = read_header(file, param="mask") if name in PIXELS else None
            choose_source(at, studio, maker, (header.width, header.height) if header else (12, 9))
        [uploader] = [one for one in at.file_uploader if str(one.key).startswith(door)]
        uploader.set_value((HOSTILE_NAME, file, "image/png"))
        at.run()
        assert not at.exception, name
        assert len(stores) == number
        assert not any(kept for store in stores for kept in store.file_storage.values()), name
        state = at.session_state.to_dict().values()
        assert not [kept for kept in state if isinstance(kept, UploadedFile) or kept == file != b""], name
        said = [one.value for one in (*at.warning, *at.markdown) if re.match(SAID, one.value)]
        if door == "recall_file":
            assert bool(said) is bool(at.warning)
            assert said or name not in files.refused(), name
            if not said:
                at.button(key="recall_close").click().run()
            continue
        taken = at.query_params.get("source" if door == "source_file" else "mask")
        assert (taken is not None, bool(said)) == (name in PIXELS, name not in PIXELS), name
        if taken:
            folder = "uploads" if door == "source_file" else "masks"
            # AppTest returns a query parameter as a list or as a string.
            key = f"{maker.id}/{folder}/{''.join(taken)}"
            bare = make_clients(studio.settings).s3.get_object(Bucket=studio.settings.inputs_bucket, Key=key)
            kinds = {chunk.kind for chunk in chunks(bare["Body"].read())}
            assert kinds == {b"IHDR", b"IDAT", b"IEND"}, name
            if door == "source_file":
                at.button(key="source_remove").click().run()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH_KB


def choose_source(at: AppTest, studio: Studio, maker: User, size: tuple[int, int]) -> None:
    """Choose a new source picture of that size in the form, with an empty mask."""
    at.query_params.clear()
    at.query_params["source"] = studio.sources.keep(maker, files.png(size=size)).id
    at.session_state[source_choice.CHOSEN] = None
    at.run()
    at.toggle(key="source_part").set_value(True).run()
