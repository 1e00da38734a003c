"""Tests of remarks about a job's pictures, such as withheld ones and hints, on every page that shows the job."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image as Pillow
from streamlit.testing.v1 import AppTest

from app.ui.history.history_table import as_frame
from app.ui.history.job_details import job_details
from app.ui.viewer import viewer
from services.aws.session import make_clients
from services.build import Studio
from services.records import Job, JobRequest, JobStatus, User
from services.store import keys
from tests.endpoint import ScriptedEndpoint
from tests.ui.conftest import components, words

HOSTILE = "![x](http://evil.example/x.png) :material/home: $x$ <img src=http://evil.example/h.png>"


@pytest.fixture
def answered(studio: Studio, endpoint: ScriptedEndpoint, maker: User) -> Callable[..., Job]:
    """`answered(change, prompt=...)`: a finished job of the maker whose model response was altered by `change`."""

    def job_of(change: Callable[[dict[str, Any]], object], **asked: Any) -> Job:
        job = studio.jobs.submit(maker, JobRequest(**{"prompt": "a red apple", **asked}))
        endpoint.complete(endpoint.accepted[-1], change)
        studio.completion.finish(job.user_id, job.id, job.attempt)
        return studio.jobs.get(maker, job.id)

    return job_of


def withhold_first(answer: dict[str, Any]) -> None:
    answer["images"][0] |= {"data": None, "sha256": None, "withheld": "nsfw", "nsfw": 0.97}


def with_hint(answer: dict[str, Any]) -> None:
    answer["hint"] = {"nearest": ["cat face", HOSTILE[:60]], "likeness": 0.3}


def markdown_of(at: AppTest) -> str:
    """Return all texts that the page rendered as Markdown."""
    return "\n".join(
        str(element.value) for kind in ("markdown", "caption", "warning") for element in at.get(kind)
    )


def test_a_withheld_picture_is_reported_in_the_feed_the_viewer_and_the_history(
    answered: Callable[..., Job], open_page: Callable[..., AppTest], in_dialog: Callable[..., AppTest]
) -> None:
    job = answered(withhold_first, count=2)
    feed = open_page()
    assert "1 of 2 pictures was withheld" in words(feed) and "sexual content" in words(feed)
    assert "0.97" not in words(feed)
    dialog = in_dialog(viewer.show_picture, job.image_ids).run()
    assert "1 of 2 pictures was withheld" in words(dialog)
    details = in_dialog(job_details, job).run()
    assert "1 of 2 pictures was withheld" in words(details)
    assert as_frame([job])["State"].tolist() == ["Done, 1 withheld"]


def test_a_job_with_all_pictures_withheld_shows_the_reason_and_no_charge(
    answered: Callable[..., Job], open_page: Callable[..., AppTest]
) -> None:
    job = answered(withhold_first)
    assert job.status is JobStatus.FAILED
    page = open_page(query={"job": job.id})
    assert "The picture was withheld" in words(page) and "Nothing was charged" in words(page)


def test_a_hint_appears_next_to_the_picture_and_is_never_rendered_as_markdown(
    answered: Callable[..., Job], open_page: Callable[..., AppTest], in_dialog: Callable[..., AppTest]
) -> None:
    job = answered(with_hint, prompt=HOSTILE)
    pages = [
        open_page(),
        in_dialog(viewer.show_picture, job.image_ids).run(),
        in_dialog(job_details, job).run(),
    ]
    for at in pages:
        [shown] = [text.value for text in at.text if "does not know" in text.value]
        assert shown.startswith("pocket does not know “![x](http://evil.example/x.png)")
        assert "The closest things it can draw: cat face, ![x](" in shown
        assert "evil.example" not in markdown_of(at)


def test_a_job_without_withheld_pictures_and_hints_has_no_remarks(
    draw: Callable[..., Job], open_page: Callable[..., AppTest]
) -> None:
    draw()
    said = words(open_page())
    assert "withheld" not in said and "does not know" not in said


def test_an_image_to_image_job_can_be_repeated_while_its_source_is_stored(
    answered: Callable[..., Job],
    in_dialog: Callable[..., AppTest],
    open_page: Callable[..., AppTest],
    studio: Studio,
    maker: User,
) -> None:
    target = io.BytesIO()
    Pillow.new("RGB", (64, 64), "red").save(target, "PNG")
    job = answered(lambda answer: None, image=target.getvalue(), strength=0.5)
    assert as_frame([job])["Kind"].tolist() == ["Image-to-image"]
    details = in_dialog(job_details, job).run()
    assert "Image-to-image" in words(details) and "strength 0.5" in words(details)
    assert not details.button(key="details_again").disabled
    dialog = in_dialog(viewer.show_picture, job.image_ids).run()
    assert '"Strength", "value": "0.5"' in components(dialog) and "Image-to-image" in components(dialog)
    assert not dialog.button(key="viewer_all").disabled and not dialog.button(key="viewer_remix").disabled
    page = open_page()
    page.button(key=f"all_{job.id}").click().run()
    assert page.query_params["source"] == job.id
    assert page.slider(key="g_strength").value == 0.5
    page.button(key="generate").click().run()
    # The request is identical, so the earlier job is offered.
    assert page.button(key="show_same")
    s3 = make_clients(studio.settings).s3
    s3.delete_object(Bucket=studio.settings.inputs_bucket, Key=keys.input_key(maker.id, job.id, "image"))
    page = open_page(query={"source": job.id})
    assert "no longer stored" in words(page)
    assert "source" not in page.query_params
