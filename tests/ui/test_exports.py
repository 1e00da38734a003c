"""Tests of the ZIP dialog: contents, progress, download, and cancellation."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from app.ui.gallery import export_dialog
from services.build import Studio
from services.records import Job, User
from services.store.exports import ExportStatus
from tests.ui.conftest import words


def test_a_zip_is_requested_created_downloaded_and_deleted(
    in_dialog: Callable[..., AppTest], draw: Callable[..., Job], studio: Studio, maker: User
) -> None:
    ids = draw(count=3).image_ids
    at = in_dialog(export_dialog.show_offer, ids, 3, 3_000_000).run()
    assert "**3 pictures**, 3.0 MB" in words(at) and "Your ZIPs" not in words(at)
    at.radio(key="export_kind").set_value(export_dialog.PICTURES_ONLY).run()
    at.button(key="export_order").click().run()
    [export] = studio.exports.list(maker)
    assert not export.settings and "Queued" in words(at)
    studio.export_builder.build_due()
    at.run()
    assert "Ready" in words(at) and "3 pictures, no settings" in words(at)
    [link] = at.get("link_button")
    assert "X-Amz-Signature" in link.proto.url
    at.button(key=f"export_drop_{export.id}").click().run()
    assert studio.exports.list(maker) == () and not at.exception


def test_a_zip_that_cannot_be_created_is_reported(
    in_dialog: Callable[..., AppTest], draw: Callable[..., Job], studio: Studio, maker: User
) -> None:
    ids = draw().image_ids
    at = in_dialog(export_dialog.show_offer, ids, 1, 11 * 1024**3).run()
    at.button(key="export_order").click().run()
    assert "at most 10 GB" in words(at).replace("\\", "") and studio.exports.list(maker) == ()


def test_canceling_a_zip_that_is_already_deleted_is_no_error(
    in_dialog: Callable[..., AppTest], draw: Callable[..., Job], studio: Studio, maker: User
) -> None:
    export = studio.exports.order(maker, draw().image_ids, size_bytes=1, settings=True)
    assert export.status is ExportStatus.WAITING
    at = in_dialog(export_dialog.show_offer, (), 0, 0).run()
    cancel = at.button(key=f"export_drop_{export.id}")
    assert cancel.label == "Cancel"
    studio.exports.delete(maker, export.id)
    cancel.click().run()
    assert not at.exception and studio.exports.list(maker) == ()
