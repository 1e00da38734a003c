"""Drafts on the page: offered with their price, picked, finished beside their draft; all of it there after a reload."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from services.build import Studio
from services.drafts import in_group, plan
from services.records import Job, JobRequest, User
from tests.endpoint import ScriptedEndpoint
from tests.ui.conftest import words
from tests.ui.test_generate import submit


@pytest.fixture
def drafted(studio: Studio, endpoint: ScriptedEndpoint, maker: User) -> list[Job]:
    """Eight drafts of one press, drawn."""
    request = JobRequest(prompt="a red apple", model="pocket", quality="fine", steps=20, seed=100)
    requests = in_group(plan(studio.catalogue.card("pocket"), request, 8), maker.id)
    sent = studio.batches.submit(maker, requests, key=maker.id).sent
    for taken, job in zip(endpoint.accepted[-2:], sent, strict=True):
        endpoint.complete(taken)
        studio.completion.finish(maker.id, job.id, 1)
    return [studio.jobs.get(maker, job.id) for job in sent]


def test_a_press_for_drafts_sends_them_in_few_steps_at_the_price_that_was_said(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = open_page()
    at.segmented_control(key="press_drafts").set_value(8).run()
    assert "8 drafts of 6 steps" in words(at)
    submit(at, "a red apple")
    jobs = studio.jobs.list(maker).items
    assert [(job.spec.steps, job.spec.count) for job in jobs] == [(6, 4)] * 2
    assert {job.draft.steps for job in jobs if job.draft} == {12}
    assert all(not at.button(key=f"cancel_{job.id}").disabled for job in jobs)


def test_several_prompts_and_the_lowest_quality_have_no_drafts(open_page: Callable[..., AppTest]) -> None:
    at = open_page()
    at.text_area(key="g_prompt").set_value("a {red|blue} apple").run()
    assert not [each for each in at.segmented_control if each.key == "press_drafts"]
    at.text_area(key="g_prompt").set_value("a red apple").run()
    at.slider(key="g_steps").set_value(6).run()
    assert not [each for each in at.segmented_control if each.key == "press_drafts"]


def test_what_is_picked_stands_in_the_address_and_is_finished_with_its_price(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, drafted: list[Job]
) -> None:
    picked = [drafted[0].image_ids[1], drafted[1].image_ids[2]]
    at = open_page(query={"picks": ",".join([*picked, "nonsense", "x" * 5000])})
    said = words(at)
    assert "8 drafts, 6 steps each · finished with 20 steps" in said
    group = drafted[0].draft.group if drafted[0].draft else ""
    button = at.button(key=f"finish_{group}")
    assert button.label == "Finish 2 at full quality" and "\\$0.0" in said
    button.click().run()
    assert not at.exception and not at.error
    finals = [job for job in studio.jobs.list(maker).items if job.final_of]
    assert sorted((job.spec.seed, job.spec.steps, job.spec.count) for job in finals) == [
        (101, 20, 1),
        (106, 20, 1),
    ]
    assert {job.final_of for job in finals} == {job.id for job in drafted}
    assert "picks" not in at.query_params


def test_a_finished_picture_stands_beside_its_draft(
    open_page: Callable[..., AppTest],
    studio: Studio,
    endpoint: ScriptedEndpoint,
    maker: User,
    drafted: list[Job],
) -> None:
    [request] = studio.drafts.finals(maker, [drafted[0].image_ids[1]])
    final = studio.jobs.submit(maker, request)
    endpoint.complete(endpoint.accepted[-1])
    studio.completion.finish(maker.id, final.id, 1)
    at = open_page()
    assert "Draft, then full quality with 20 steps · seed 101" in words(at)
    studio.images.delete(maker, drafted[0].image_ids[1])
    at = open_page()
    assert "Full quality with 20 steps · seed 101" in words(at)
    assert not at.exception and not at.error


def test_somebody_elses_drafts_in_the_address_are_nobodys(
    open_page: Callable[..., AppTest], studio: Studio, other: User, endpoint: ScriptedEndpoint
) -> None:
    request = JobRequest(prompt="not yours", model="pocket", seed=1)
    requests = in_group(plan(studio.catalogue.card("pocket"), request, 4), other.id)
    [job] = studio.batches.submit(other, requests, key=other.id).sent
    endpoint.complete(endpoint.accepted[-1])
    studio.completion.finish(other.id, job.id, 1)
    at = open_page(query={"picks": f"{job.id}-0", "job": job.id})
    assert "not yours" not in words(at) and not at.exception
    assert not [button for button in at.button if str(button.key).startswith("finish_")]


def test_of_several_prompts_only_those_that_are_new_are_drawn(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, draw: Callable[..., Job]
) -> None:
    draw("a red apple", seed=7)
    at = open_page()
    at.number_input(key="g_seed").set_value(7)
    submit(at, "a {red|blue|green} apple")
    assert len(studio.jobs.list(maker).items) == 1
    said = words(at)
    assert "1 of these 3 you have drawn before" in said and "That saves" in said
    at.button(key="draw_others").click().run()
    prompts = [job.spec.prompt for job in studio.jobs.list(maker).items]
    assert sorted(prompts) == ["a blue apple", "a green apple", "a red apple"]
    assert "a red apple" in [text.value for text in at.text]


def test_all_of_several_that_are_the_same_are_shown_for_nothing(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, draw: Callable[..., Job]
) -> None:
    for prompt in ("a red apple", "a blue apple"):
        draw(prompt, seed=7)
    at = open_page()
    at.number_input(key="g_seed").set_value(7)
    submit(at, "a {red|blue} apple")
    at.button(key="show_same").click().run()
    assert len(studio.jobs.list(maker).items) == 2 and not at.exception
