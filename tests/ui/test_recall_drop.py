"""Tests of a picture dropped on the Create page: its settings fill the form, and the file is not stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFile, UploadedFileRec
from streamlit.testing.v1 import AppTest

from app.i18n.texts import speaking, tr_sentence
from app.ui.common.plain_text import as_label
from app.ui.create import recall_drop
from services.catalogue.cards import Catalogue
from services.formats.embedded_text import MAX_FILE_BYTES
from services.formats.png_metadata import PictureParameters, embed
from services.recipes.fit_to_model import fit
from services.recipes.read_recipe import NOTHING_SAID
from services.recipes.recipe import Recipe
from tests import hostile_files as files
from tests.ui.conftest import ROOT

POCKET = Catalogue.load(frozenset({"pocket"})).card("pocket")
HOSTILE = "![x](http://evil.example/x.png) <b>bold</b> $x^2$ {red|blue} __animal__"
OURS = PictureParameters(
    prompt="a red apple",
    negative_prompt="blurry",
    steps=17,
    scheduler="euler",
    guidance=5.5,
    seed=4242,
    width=136,
    height=96,
    model="pocket",
    model_revision="pocket-2",
    job="01K9ZQ4T7M3N5P6R8S0V2W4X6Y",
    image="01K9ZQ4T7M3N5P6R8S0V2W4X6Y-0",
    created_at=datetime(2026, 11, 21, tzinfo=UTC),
)
FORM = (
    "g_prompt",
    "g_negative",
    "g_seed",
    "g_steps",
    "g_guidance",
    "g_scheduler",
    "g_size",
    "g_width",
    "g_height",
)


def uploaders(at: AppTest) -> list[Any]:
    """Return the uploaders that read settings from a picture; the form has other uploaders too."""
    return [uploader for uploader in at.file_uploader if str(uploader.key).startswith("recall_file")]


def drop(at: AppTest, file: bytes, name: str = "picture.png") -> AppTest:
    [uploader] = uploaders(at)
    uploader.set_value((name, file, "image/png"))
    at.run()
    assert not at.exception
    return at


def press(at: AppTest, use: str) -> dict[str, object]:
    """Click a button under the dropped picture and return the form's values."""
    at.button(key=f"recall_{use}").click().run()
    assert not at.exception
    return {key: at.session_state[key] for key in FORM}


def ours(**changed: object) -> bytes:
    return embed(files.png(), OURS.model_copy(update=changed))


def captions(at: AppTest) -> str:
    return "\n".join(caption.value for caption in at.caption)


@pytest.fixture
def page(open_page: Callable[..., AppTest]) -> AppTest:
    """The Create page with values already typed into the form."""
    at = open_page()
    at.text_area(key="g_prompt").set_value("my own words")
    at.number_input(key="g_seed").set_value(1)
    return at.run()


def test_use_all_fills_the_whole_form(page: AppTest) -> None:
    at = drop(page, ours())
    assert as_label(
        "From Atelier · seed 4242 · 17 steps · euler · guidance 5.5 · 136 x 96 · pocket"
    ) in captions(at)
    assert press(at, "all") == {
        "g_prompt": "a red apple",
        "g_negative": "blurry",
        "g_seed": 4242,
        "g_steps": 17,
        "g_guidance": 5.5,
        "g_scheduler": "euler",
        "g_size": "Custom",
        "g_width": 136,
        "g_height": 96,
    }


def test_decimals_are_in_the_readers_form() -> None:
    found = Recipe(source="A1111", guidance=0.5)
    fitted = fit(found, POCKET, [POCKET])
    with speaking("de"):
        assert "guidance 0,5" in recall_drop._facts(found) or "Guidance 0,5" in recall_drop._facts(found)
        assert "0,5 " in tr_sentence(fitted.remarks[0])


def test_what_the_file_does_not_hold_is_told(page: AppTest) -> None:
    graph = files.comfy_graph(seed=["50", 0])
    graph["50"] = {"class_type": "RandomSeedOfSomePack", "inputs": {}}
    at = drop(page, files.png({"prompt": files.dumps(graph)}))
    assert as_label("The seed is left out: it came from “RandomSeedOfSomePack”") in captions(at)
    assert at.button(key="recall_seed").disabled


def test_remix_fills_the_whole_form_with_a_random_seed(page: AppTest) -> None:
    everything = press(drop(page, ours()), "all")
    assert press(page, "remix") == everything | {"g_seed": None}


def test_use_prompt_and_use_seed_change_only_their_field(page: AppTest) -> None:
    before = {key: page.session_state[key] for key in FORM}
    at = drop(page, ours())
    assert press(at, "seed") == before | {"g_seed": 4242}
    assert press(at, "prompt") == before | {"g_seed": 4242, "g_prompt": "a red apple"}


def test_fields_missing_from_the_file_are_unchanged(page: AppTest) -> None:
    page.slider(key="g_steps").set_value(33).run()
    at = drop(page, files.png({"parameters": "a cat\nSteps: 9"}))
    assert at.button(key="recall_seed").disabled
    filled = press(at, "all")
    assert (filled["g_prompt"], filled["g_steps"], filled["g_seed"], filled["g_scheduler"]) == (
        "a cat",
        9,
        1,
        "ddim",
    )


def test_values_outside_the_models_limits_move_to_the_nearest_with_a_remark(page: AppTest) -> None:
    at = drop(page, files.with_exif("JPEG", files.tiff(files.comment_of(files.A1111, "utf-16-be"))), "a.jpg")
    said = captions(at)
    assert as_label("512 x 768 becomes 128 x 192") in said
    assert as_label("The model dreamshaper_8 is not offered here; Pocket stays chosen.") in said
    filled = press(at, "all")
    assert (filled["g_width"], filled["g_height"], filled["g_seed"], filled["g_steps"]) == (
        128,
        192,
        4242,
        25,
    )
    # The form accepts all values, because it shows a price.
    assert "$" in captions(at)


def test_a_hostile_prompt_is_shown_and_used_as_plain_text(page: AppTest) -> None:
    at = drop(page, ours(prompt=HOSTILE, model=HOSTILE))
    assert HOSTILE in [text.value for text in at.text]
    marked = [element.value for element in (*at.markdown, *at.caption, *at.warning)]
    assert not any("](" in value or "<b>" in value for value in marked)
    press(at, "prompt")
    at.button(key="generate").click().run()
    assert not at.exception
    assert HOSTILE in [text.value for text in at.text]


@pytest.mark.parametrize("name", ["svg_named_png", "polyglot", "truncated_jpeg", "ztxt_bomb", "empty"])
def test_a_hostile_file_gets_a_warning_and_leaves_the_form_unchanged(page: AppTest, name: str) -> None:
    before = {key: page.session_state[key] for key in FORM}
    at = drop(page, files.refused()[name]())
    [warning] = at.warning
    assert warning.value.endswith("\\.")
    assert {key: at.session_state[key] for key in FORM} == before
    assert "recall_all" not in [button.key for button in at.button]


def test_a_picture_without_settings_gets_a_warning_and_another_one_can_follow(page: AppTest) -> None:
    at = drop(page, files.png())
    assert [warning.value for warning in at.warning] == [as_label(NOTHING_SAID)]
    at = drop(at, ours())
    assert not at.warning and not uploaders(at)
    at.button(key="recall_close").click().run()
    assert "recall_all" not in [button.key for button in at.button]
    assert as_label("From Atelier") in captions(drop(at, ours()))


def test_the_bytes_of_the_file_are_not_kept(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    stores: list[MemoryUploadedFileManager] = []
    add = MemoryUploadedFileManager.add_file

    def noted(store: MemoryUploadedFileManager, session_id: str, file: UploadedFileRec) -> None:
        add(store, session_id, file)
        assert store.get_files(session_id, [file.file_id]) == [file]
        stores.append(store)

    monkeypatch.setattr(MemoryUploadedFileManager, "add_file", noted)
    for number, file in enumerate((files.truncated(ours()), ours()), start=1):
        drop(page, file)
        assert len(stores) == number
        assert [kept for store in stores for kept in store.file_storage.values() if kept] == []
        page.run()
        said = page.session_state["recalled_recipe"]
        assert isinstance(said, str if number == 1 else Recipe)
        state = page.session_state.to_dict()
        assert [key for key, value in state.items() if isinstance(value, UploadedFile | bytes)] == []


def test_the_uploader_has_the_same_limits_as_the_reader_and_the_server(page: AppTest) -> None:
    uploader = page.file_uploader[0]
    assert uploader.allowed_type == [".png", ".jpg", ".jpeg", ".webp"]
    assert uploader.proto.max_upload_size_mb * 1024 * 1024 == MAX_FILE_BYTES
    assert (
        f"maxUploadSize = {MAX_FILE_BYTES // 1024 // 1024}\n" in (ROOT / ".streamlit/config.toml").read_text()
    )
