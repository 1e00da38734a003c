"""Tests of the source picture in the form: upload, gallery, fitting, masks, and restoring after a reload."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image as Pillow
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.testing.v1 import AppTest

from app.ui.create import mask_painter as painter
from app.ui.create import source_picture
from app.ui.viewer import viewer
from services.aws.session import make_clients
from services.build import Studio
from services.errors import Unavailable
from services.records import Fit, Job, JobRequest, Task, User
from tests import hostile_files as files
from tests.endpoint import ScriptedEndpoint
from tests.ui.conftest import words


def png(color: str = "red", size: tuple[int, int] = (128, 96)) -> bytes:
    target = io.BytesIO()
    Pillow.new("RGB", size, color).save(target, "PNG")
    return target.getvalue()


def upload(at: AppTest, file: bytes, *, name: str = "source_file") -> AppTest:
    [uploader] = [one for one in at.file_uploader if str(one.key).startswith(name)]
    uploader.set_value(("picture.png", file, "image/png"))
    at.run()
    assert not at.exception
    return at


def generate(at: AppTest, prompt: str = "a cat") -> AppTest:
    at.text_area(key="g_prompt").set_value(prompt)
    at.button(key="generate").click().run()
    assert not at.exception
    return at


@pytest.fixture
def paint(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes | None], None]:
    """`paint(png)`: sets the mask that the browser's painter sends from then on."""

    def says(mask: bytes | None) -> None:
        monkeypatch.setattr(source_picture, "mask_painter", lambda *_, **__: mask)

    return says


def test_an_upload_is_used_with_the_strength_and_survives_a_reload(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = upload(open_page(), png())
    source = at.query_params["source"]
    at.slider(key="g_strength").set_value(0.25).run()
    assert "This setting draws 3 of 12 steps" in words(at)
    generate(at)
    [job] = studio.jobs.list(maker).items
    assert (job.spec.task, job.spec.strength) == (Task.IMAGE_TO_IMAGE, 0.25)
    again = open_page(query={"source": source})
    assert again.query_params["source"] == source
    assert again.button(key="source_remove")
    after = open_page(query={"source": source, "job": job.id})
    assert after.query_params["source"] == source
    assert after.slider(key="g_strength").value == 0.25


def test_the_price_depends_on_the_strength(open_page: Callable[..., AppTest], studio: Studio) -> None:
    asked: list[JobRequest] = []
    at = upload(open_page(), png())
    with pytest.MonkeyPatch.context() as patch:
        estimate = studio.multi_submit.estimate
        patch.setattr(
            studio.multi_submit, "estimate", lambda requests: asked.extend(requests) or estimate(requests)
        )
        at.slider(key="g_strength").set_value(0.1).run()
    assert asked[-1].strength == 0.1 and asked[-1].source is not None and asked[-1].image is None


def test_the_bytes_of_an_upload_are_kept_only_in_the_bucket(
    open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    stores: list[MemoryUploadedFileManager] = []
    add = MemoryUploadedFileManager.add_file

    def noted(store: MemoryUploadedFileManager, session_id: str, file: UploadedFileRec) -> None:
        add(store, session_id, file)
        stores.append(store)

    monkeypatch.setattr(MemoryUploadedFileManager, "add_file", noted)
    at = generate(upload(open_page(), png(size=(500, 400))))
    [store] = stores
    assert [kept for kept in store.file_storage.values() if kept] == []
    assert "IHDR" not in repr(at.session_state.to_dict())


@pytest.mark.parametrize("name", ["svg_named_png", "truncated_png", "bomb_of_pixels", "many_scans"])
def test_a_hostile_file_is_refused_as_source_and_as_mask(
    open_page: Callable[..., AppTest], name: str
) -> None:
    at = upload(open_page(), files.refused_as_pictures()[name]())
    assert "The image " in words(at) and "source" not in at.query_params
    at = upload(at, png())
    at.toggle(key="source_part").set_value(True).run()
    at = upload(at, files.refused_as_pictures()[name](), name="mask_file")
    assert "The mask " in words(at) and "mask" not in at.query_params


def test_the_source_survives_a_page_change_and_can_be_removed(open_page: Callable[..., AppTest]) -> None:
    at = upload(open_page(), png())
    source = at.query_params["source"]
    at.switch_page("app/pages/history.py").run()
    at.switch_page("app/pages/generate.py").run()
    assert at.query_params["source"] == source
    at.button(key="source_remove").click().run()
    assert "source" not in at.query_params
    at.run()
    assert "source" not in at.query_params and "source_remove" not in [b.key for b in at.button]


def test_the_fit_can_be_chosen_if_the_shapes_differ_and_the_sources_size_can_be_used(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, endpoint: ScriptedEndpoint
) -> None:
    at = upload(open_page(), png(size=(300, 100)))
    assert "is cropped" in words(at)
    at.segmented_control(key="source_fit").set_value("pad").run()
    assert at.query_params["fit"] == Fit.PAD.value and "white bars" in words(at)
    generate(at)
    assert studio.jobs.list(maker).items[0].spec.width == 128
    at = upload(open_page(), png(size=(160, 120)))
    at.button(key="source_size").click().run()
    assert (at.session_state["g_size"], at.session_state["g_width"], at.session_state["g_height"]) == (
        "Custom",
        160,
        120,
    )
    assert "source_size" not in [button.key for button in at.button]
    assert "source_fit" not in [control.key for control in at.segmented_control]


def test_a_painted_mask_is_stored_once_and_makes_the_job_inpainting(
    open_page: Callable[..., AppTest],
    studio: Studio,
    maker: User,
    endpoint: ScriptedEndpoint,
    paint: Callable[[bytes | None], None],
) -> None:
    at = upload(open_page(), png())
    at.toggle(key="source_part").set_value(True).run()
    generate(at)
    assert source_picture.NOTHING_PAINTED in words(at)
    assert studio.jobs.list(maker).items == ()
    paint(png("white", (512, 384)))
    at.run()
    mask = at.query_params["mask"]
    at.run()
    assert at.query_params["mask"] == mask
    generate(at)
    [job] = studio.jobs.list(maker).items
    assert job.spec.task is Task.INPAINTING
    paint(b"")
    at.run()
    assert "mask" not in at.query_params and source_picture.NOTHING_PAINTED in words(at)
    paint(None)
    at.toggle(key="source_part").set_value(False).run()
    generate(at, "a dog")
    assert studio.jobs.list(maker).items[0].spec.task is Task.IMAGE_TO_IMAGE


def test_a_mask_in_the_url_survives_a_reload_and_is_replaced_by_an_uploaded_one(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    kept = studio.sources.keep(maker, png())
    mask = studio.sources.keep_mask(maker, kept, png("white"))
    at = open_page(query={"source": kept.id, "mask": mask})
    assert at.toggle(key="source_part").value
    token = at.session_state["form_source"].token
    at = upload(at, png("white"), name="mask_file")
    assert at.query_params["mask"] != mask
    # A new token makes the painter load the new mask.
    assert at.session_state["form_source"].token != token
    assert "same shape" in words(upload(at, png("white", (50, 90)), name="mask_file"))


def test_a_temporarily_unavailable_source_stays_chosen_and_a_missing_mask_is_reported(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = studio.sources.keep(maker, png())
    mask = studio.sources.keep_mask(maker, kept, png("white"))
    asked = []

    def refuse(user: User, source_id: str) -> None:
        asked.append(source_id)
        raise Unavailable("S3 is busy.")

    with monkeypatch.context() as patch:
        patch.setattr(studio.sources, "look", refuse)
        at = open_page(query={"source": kept.id})
        assert asked == [kept.id] and "S3 is busy" in words(at)
        assert at.query_params["source"] == kept.id
        generate(at)
    assert studio.jobs.list(maker).items[0].spec.task is Task.IMAGE_TO_IMAGE
    s3 = make_clients(studio.settings).s3
    s3.delete_object(Bucket=studio.settings.inputs_bucket, Key=f"{maker.id}/masks/{mask}")
    at = open_page(query={"source": kept.id, "mask": mask})
    assert "The mask is no longer stored" in words(at) and "mask" not in at.query_params


def test_a_foreign_or_invalid_source_in_the_url_is_reported_as_missing(
    open_page: Callable[..., AppTest], studio: Studio, other: User
) -> None:
    foreign = studio.sources.keep(other, png())
    for name in (foreign.id, "../../x", "x" * 3000):
        at = open_page(query={"source": name})
        assert "no longer stored" in words(at)
        assert "source" not in at.query_params and not at.exception


def test_drawing_over_a_gallery_picture_keeps_its_size(
    open_page: Callable[..., AppTest],
    in_dialog: Callable[..., AppTest],
    draw: Callable[..., Job],
    studio: Studio,
    maker: User,
) -> None:
    job = draw("a red apple", width=160, height=104)
    dialog = in_dialog(viewer.show_picture, job.image_ids).run()
    assert dialog.button(key="viewer_over").label == "Draw over"
    at = open_page(query={"source": job.image_ids[0]})
    assert (at.session_state["g_size"], at.session_state["g_upright"]) == ("3:2", False)
    generate(at)
    assert studio.jobs.list(maker).items[0].spec.width == 160


def test_controls_for_tasks_the_model_does_not_support_are_hidden(
    open_page: Callable[..., AppTest], studio: Studio, monkeypatch: pytest.MonkeyPatch, maker: User
) -> None:
    card = studio.catalogue.card("pocket")
    kept = studio.sources.keep(maker, png())
    for changes, shown in (
        ({"inpainting": False}, {"source_remove"}),
        ({"image_to_image": False, "inpainting": False}, set()),
    ):
        monkeypatch.setitem(studio.catalogue._cards, "pocket", card.model_copy(update=changes))
        at = open_page(query={"source": kept.id})
        assert {button.key for button in at.button} & {"source_remove"} == shown
        assert not at.toggle
        assert ("inpainting" in words(at)) is False


def test_only_valid_painter_messages_for_the_current_picture_are_accepted() -> None:
    sent = {"token": "a", "png": painter.PNG_URL + "aGk="}
    assert painter._painted(sent, "a") == b"hi"
    assert painter._painted({"token": "a", "png": ""}, "a") == b""
    strange: list[Any] = [
        None, 7, [], {}, {"token": "a"}, {"png": "x"}, {"token": 1, "png": "x"}, {"token": "a", "png": 5},
        {**sent, "token": "b"}, {"token": "a", "png": painter.PNG_URL + "#"}, {"token": "a", "png": "ü"},
        {"token": "a", "png": "A" * (painter.MAX_MASK_CHARACTERS + 1)},
    ]  # fmt: skip
    assert [painter._painted(one, "a") for one in strange] == [None] * len(strange)
