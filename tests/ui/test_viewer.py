"""Tests of the viewer: comparison, variations, reproduction, sharing, and the facts about a picture."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.i18n.texts import speaking
from app.ui.common import picture_facts
from app.ui.viewer import share_panel, viewer, zoom
from app.ui.viewer.compare import differing
from app.ui.viewer.reproduction_panel import difference_words
from app.ui.viewer.viewer_panels import PANEL
from services.build import Studio
from services.errors import NotFound
from services.images.attachment_records import Share
from services.images.shares import LIVES
from services.records import Image, Job, JobStatus, User
from services.store.reruns import Difference
from tests.endpoint import ScriptedEndpoint
from tests.ui.conftest import ROOT, claims, components, words

Dialog = Callable[..., AppTest]


@pytest.fixture
def job(draw: Callable[..., Job]) -> Job:
    return draw("a red apple", seed=7, count=2)


@pytest.fixture
def picture(job: Job, studio: Studio, maker: User) -> Image:
    return studio.images.get(maker, job.image_ids[1])


@pytest.fixture
def opened(in_dialog: Dialog, picture: Image, job: Job) -> Callable[[str], AppTest]:
    """`opened("share")`: the viewer at the second of two pictures, with that panel open."""

    def open_it(panel: str) -> AppTest:
        at = in_dialog(viewer.show_picture, job.image_ids)
        at.session_state["viewed"] = picture.id
        at.session_state[PANEL] = panel
        return at.run()

    return open_it


def test_all_facts_about_a_picture_are_listed_and_can_be_copied(job: Job, picture: Image) -> None:
    rows = (
        picture_facts.settings(picture, job) | picture_facts.origin(job) | picture_facts.account(picture, job)
    )
    assert rows["Seed"] == "8" and rows["Weights"] == "0123456789ab" and rows["Device"] == "cpu"
    assert rows["Libraries"] == "torch 2.13.0, diffusers 0.42.1"
    text = picture_facts.parameters_text(picture, job)
    assert (
        text.startswith("a red apple\nSteps: ") and "Seed: 8, Size: 128x128, Model hash: 0123456789ab" in text
    )


@pytest.mark.parametrize(("language", "guidance", "strength"), [("en", "4.5", "0.35"), ("de", "4,5", "0,35")])
def test_numbers_are_written_as_in_the_readers_language(
    job: Job, picture: Image, language: str, guidance: str, strength: str
) -> None:
    spec = job.spec.model_copy(update={"guidance": 4.5, "strength": 0.35, "image_sha256": "0" * 64})
    with speaking(language):
        rows = picture_facts.settings(picture, job.model_copy(update={"spec": spec}))
    assert {guidance, strength} <= set(rows.values())


def test_the_price_of_one_picture_is_its_share_of_the_jobs_price(job: Job) -> None:
    assert picture_facts.price_words(job.model_copy(update={"cost_usd": 0.04})) == (
        "$0.02, its share of $0.04 for 2 pictures"
    )
    assert (
        picture_facts.price_words(job.model_copy(update={"cost_usd": 0.04, "image_ids": ("a",)})) == "$0.04"
    )


def test_a_hostile_prompt_is_passed_to_the_components_only_as_data(
    in_dialog: Dialog, draw: Callable[..., Job]
) -> None:
    hostile = "</script><img src=x onerror=alert(1)> \u202e"
    at = in_dialog(viewer.show_picture, draw(hostile).image_ids).run()
    assert not at.exception and "⟨RLO⟩" in words(at)
    for name in ("zoom.js", "copy_list.js", "compare.js", "elements.js"):
        [file] = (ROOT / "app" / "ui").rglob(name)
        source = file.read_text()
        assert "innerHTML" not in source and "insertAdjacentHTML" not in source


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "step",
        {},
        {"kind": "step"},
        {"kind": "step", "by": 2},
        {"kind": "step", "by": True},
        {"kind": "erase"},
    ],
)
def test_invalid_messages_of_the_zoom_component_are_ignored(sent: object) -> None:
    assert zoom.action(sent) is None


def test_a_step_moves_to_the_neighbor_but_not_past_the_end(
    studio: Studio, maker: User, picture: Image, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    state: dict[str, Any] = {}
    monkeypatch.setattr(viewer.st, "session_state", state)
    monkeypatch.setattr(viewer, "asked", lambda: zoom.ZoomAction("step", 1))
    viewer._act(studio, maker, picture, job.image_ids)
    assert state == {}
    monkeypatch.setattr(viewer, "asked", lambda: zoom.ZoomAction("step", -1))
    viewer._act(studio, maker, picture, job.image_ids)
    assert state["viewed"] == job.image_ids[0]
    monkeypatch.setattr(viewer, "asked", lambda: zoom.ZoomAction("star"))
    viewer._act(studio, maker, picture, job.image_ids)
    assert studio.images.get(maker, picture.id).favorite


def test_two_pictures_in_the_url_are_compared_and_their_differences_are_listed(
    open_page: Callable[..., AppTest], job: Job, draw: Callable[..., Job]
) -> None:
    other = draw("a rocket", seed=7).image_ids[0]
    at = open_page("app/pages/gallery.py", query={"compare": f"{job.image_ids[0]},{other}"})
    told = components(at)
    assert '{"name": "Prompt", "a": "a red apple", "b": "a rocket"}' in told
    assert '{"name": "Seed", "value": "7"}' in told


@pytest.mark.parametrize("page", ["app/pages/generate.py", "app/pages/history.py"])
def test_a_link_to_a_picture_opens_on_other_pages_too(
    open_page: Callable[..., AppTest], picture: Image, page: str
) -> None:
    assert '"alt": "a red apple"' in components(open_page(page, query={"image": picture.id}))


@pytest.mark.parametrize("pair", ["{mine},{foreign}", "{mine}", "{mine},{mine},{mine}", ",", "../..,x"])
def test_a_comparison_with_another_users_or_a_missing_picture_shows_nothing(
    open_page: Callable[..., AppTest], picture: Image, other: User, draw: Callable[..., Job], pair: str
) -> None:
    asked = pair.format(mine=picture.id, foreign=picture.id)
    at = open_page("app/pages/gallery.py", user=claims(other), query={"compare": asked})
    assert "a red apple" not in words(at) + components(at)
    assert not at.exception


def test_facts_of_only_one_picture_count_as_different() -> None:
    differ, same = differing({"Seed": "1", "Steps": "8"}, {"Seed": "1", "Strength": "0.5"})
    assert differ == {"Steps": ("8", "–"), "Strength": ("–", "0.5")} and same == {"Seed": "1"}


def test_variations_are_priced_and_drawn_with_new_seeds_each_time(
    opened: Callable[[str], AppTest], studio: Studio, endpoint: ScriptedEndpoint, maker: User, job: Job
) -> None:
    at = opened("variations")
    assert "seeds 9 to 12" in words(at) and "$" in words(at)
    at.button(key="variations_draw").click().run()
    [drawn] = studio.jobs.open(maker)
    assert (drawn.spec.seed, drawn.spec.count, drawn.spec.prompt) == (9, 4, "a red apple")
    endpoint.complete(endpoint.accepted[-1])
    studio.completion.finish(maker.id, drawn.id, 1)
    assert "seeds 13 to 16" in words(opened("variations"))


def test_a_picture_is_shared_and_the_share_revoked(
    opened: Callable[[str], AppTest], studio: Studio, maker: User
) -> None:
    at = opened("share")
    assert not at.code
    at.button(key="share_make").click().run()
    token = at.code[0].value.rpartition("/s/")[2]
    assert studio.shares.look(token).prompt is None
    [share] = studio.shares.list(maker)
    assert "Expires in 7 days, not opened yet" in words(at)
    at.button(key=f"revoke_{share.id}").click().run()
    assert studio.shares.list(maker) == () and not at.code
    with pytest.raises(NotFound):
        studio.shares.look(token)


def test_expiry_and_view_count_of_a_link_have_texts() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    share = Share(id="x", image_id="y", created_at=now, expires_at=now + LIVES[1])
    assert share_panel.words(share, now) == "Expires in 24 hours, not opened yet"
    soon = share.model_copy(
        update={"expires_at": now + timedelta(seconds=30), "views": 1, "with_prompt": True}
    )
    assert share_panel.words(soon, now) == "Expires in 1 minute, with the prompt, opened 1 time"
    busy = share.model_copy(update={"expires_at": now + timedelta(days=6, seconds=1), "views": 1000})
    assert share_panel.words(busy, now) == "Expires in 7 days, opened at least 1,000 times"


def test_a_reproduction_is_compared_and_shows_its_origin(
    opened: Callable[[str], AppTest], studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    at = opened("again")
    assert "$" in words(at)
    at.button(key="reproduction_draw").click().run()
    [again] = studio.jobs.open(maker)
    assert (again.spec.seed, again.spec.count) == (8, 1)
    endpoint.complete(endpoint.accepted[-1])
    studio.completion.finish(maker.id, again.id, 1)
    at = opened("again")
    assert "Identical: all 16,384 pixels are the same." in words(at)
    assert "Weights: 0123456789ab" in words(at)
    at.button(key="reproduction_compare").click().run()
    assert at.session_state[viewer.COMPARED][1] == f"{again.id}-0"


def test_a_changed_model_is_shown_before_and_after_a_reproduction(
    opened: Callable[[str], AppTest],
    studio: Studio,
    endpoint: ScriptedEndpoint,
    maker: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card = studio.catalogue.card("pocket")
    monkeypatch.setitem(studio.catalogue._cards, "pocket", card.model_copy(update={"revision": "pocket-9"}))
    at = opened("again")
    assert "The model has changed from" in words(at) and "pocket-9" in words(at)
    at.button(key="reproduction_draw").click().run()
    [again] = studio.jobs.open(maker)
    changed = {"model": {"name": "pocket", "revision": "fedcba987654"}}
    endpoint.complete(endpoint.accepted[-1], lambda answer: answer.update(changed))
    studio.completion.finish(maker.id, again.id, 1)
    at = opened("again")
    assert "**Weights** has changed" in words(at) and "now  fedcba987654" in words(at)


def test_a_failed_reproduction_shows_the_reason(
    opened: Callable[[str], AppTest], studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    opened("again").button(key="reproduction_draw").click().run()
    [again] = studio.jobs.open(maker)
    endpoint.fail(endpoint.accepted[-1])
    assert studio.completion.fail(maker.id, again.id, 1, "it broke") is not None
    assert studio.jobs.get(maker, again.id).status is JobStatus.FAILED
    assert "The model" in words(opened("again"))


def test_a_difference_between_pictures_is_described_in_a_sentence() -> None:
    found = Difference(largest=3, differing=10, pixels=16384, amplified=64)
    assert difference_words(found) == "10 of 16,384 pixels differ (under 0.1 %), by at most 3 of 255 levels."
    most = Difference(largest=200, differing=8192, pixels=16384)
    assert difference_words(most) == "8,192 of 16,384 pixels differ (50.0 %), by at most 200 of 255 levels."
