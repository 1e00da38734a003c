"""Tests of drafts on the Create page: price, picking, finishing at full quality, and restoring after a reload."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from streamlit.testing.v1 import AppTest

from app.i18n.wording import dollars
from services.build import Studio
from services.errors import Unavailable
from services.jobs.drafts import in_group, plan
from services.records import Job, JobRequest, User
from tests.endpoint import ScriptedEndpoint
from tests.ui.conftest import components, words
from tests.ui.test_generate import submit

FINE = JobRequest(prompt="a red apple", model="pocket", quality="fine", steps=20, seed=100)
HOSTILE = "![x](http://evil.example/x.png) **<b>bold</b>** \u202e:material/bolt: $1$"


def press_drafts(
    studio: Studio,
    endpoint: ScriptedEndpoint,
    user: User,
    prompts: Sequence[str],
    count: int,
    *,
    fail: int | None = None,
    leave: int | None = None,
) -> list[Job]:
    """Submit drafts with one click and return their jobs; all succeed except those at indexes `fail` and `leave`."""
    requests = [FINE.model_copy(update={"prompt": prompt}) for prompt in prompts]
    planned = in_group(plan(studio.catalogue.card("pocket"), requests, count), "-".join((user.id, *prompts)))
    sent = studio.multi_submit.submit(
        user, planned, key=planned[0].draft.group if planned[0].draft else ""
    ).sent
    for place, (taken, job) in enumerate(zip(endpoint.accepted[-len(sent) :], sent, strict=True)):
        if place == fail:
            endpoint.fail(taken)
            studio.completion.fail(user.id, job.id, 1, "CUDA out of *memory*")
        elif place != leave:
            endpoint.complete(taken)
            studio.completion.finish(user.id, job.id, 1)
    return [studio.jobs.get(user, job.id) for job in sent]


def pickers(at: AppTest) -> list[dict[str, object]]:
    """Return the data of the draft grids on the page."""
    given = [json.loads(one) for one in components(at).splitlines()]
    return [one for one in given if "parts" in one]


def group_of(jobs: Sequence[Job]) -> str:
    return jobs[0].draft.group if jobs[0].draft else ""


@pytest.fixture
def drafted(studio: Studio, endpoint: ScriptedEndpoint, maker: User) -> list[Job]:
    """Eight finished drafts from one click."""
    return press_drafts(studio, endpoint, maker, ["a red apple"], 8)


def test_drafts_are_submitted_with_few_steps_as_announced(
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


def test_the_lowest_quality_has_no_drafts(open_page: Callable[..., AppTest]) -> None:
    at = open_page()
    assert [each for each in at.segmented_control if each.key == "press_drafts"]
    at.slider(key="g_steps").set_value(6).run()
    assert not [each for each in at.segmented_control if each.key == "press_drafts"]


def test_several_prompts_share_the_drafts_and_the_price_shows_it_before_the_click(
    open_page: Callable[..., AppTest], studio: Studio, maker: User
) -> None:
    at = open_page()
    at.text_area(key="g_prompt").set_value("a {red|blue|green} apple").run()
    control = at.segmented_control(key="press_drafts")
    assert control.options == ["Off", "1 each", "2 each", "4 each"]
    control.set_value(12).run()
    assert "3 prompts x 4 drafts = 12 drafts of 6 steps, about \\$0." in words(at)
    submit(at, "a {red|blue|green} apple")
    jobs = studio.jobs.list(maker).items
    made = sorted((job.spec.prompt, job.spec.steps, job.spec.count) for job in jobs)
    assert made == [(f"a {color} apple", 6, 4) for color in ("blue", "green", "red")]
    assert len({job.draft.group for job in jobs if job.draft}) == 1


def test_the_number_of_drafts_adapts_to_the_number_of_prompts_and_is_restored(
    open_page: Callable[..., AppTest],
) -> None:
    at = open_page()
    at.segmented_control(key="press_drafts").set_value(8).run()
    at.text_area(key="g_prompt").set_value("a {red|blue|green|small|big} apple").run()
    assert at.segmented_control(key="press_drafts").options == ["Off", "1 each", "2 each"]
    assert "5 prompts x 1 draft = 5 drafts of 6 steps" in words(at)
    at.text_area(key="g_prompt").set_value("a red apple").run()
    assert at.segmented_control(key="press_drafts").value == 8
    assert "8 drafts of 6 steps" in words(at) and "prompts x" not in words(at)


def test_too_many_drafts_are_refused_with_a_message_and_not_sent(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = studio.ledger.usage(maker)
    monkeypatch.setattr(
        studio.ledger, "usage", lambda _: usage.model_copy(update={"images_today": usage.daily_images - 5})
    )
    at = open_page()
    at.text_area(key="g_prompt").set_value("a {red|blue|green} apple").run()
    at.segmented_control(key="press_drafts").set_value(8).run()
    submit(at, "a {red|blue|green} apple")
    said = words(at).replace("\\", "")
    assert "These 6 drafts of 3 prompts (3 jobs) are too many at once" in said
    assert "Ask for fewer, or take out some alternatives." in said
    assert studio.jobs.list(maker).items == ()


def test_drafts_are_grouped_under_their_prompts_shown_as_plain_text(
    open_page: Callable[..., AppTest], studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    jobs = press_drafts(studio, endpoint, maker, ["a pear", HOSTILE], 12)
    at = open_page()
    [given] = pickers(at)
    assert [part["prompt"] for part in given["parts"]] == [  # type: ignore[attr-defined]
        "a pear",
        "![x](http://evil.example/x.png) **<b>bold</b>** ⟨RLO⟩:material/bolt: $1$",
    ]
    shown = [[item["id"] for item in part["items"]] for part in given["parts"]]  # type: ignore[attr-defined]
    assert shown == [
        [*jobs[0].image_ids, *jobs[1].image_ids],
        [*jobs[2].image_ids, *jobs[3].image_ids],
    ]
    said = words(at)
    assert "**Drafts of 2 prompts**" in said and "12 drafts, 6 steps each" in said
    assert "evil.example" not in "".join(text.value for text in (*at.markdown, *at.caption))


def test_all_drafts_of_a_click_are_shown_after_many_later_jobs(
    open_page: Callable[..., AppTest],
    studio: Studio,
    endpoint: ScriptedEndpoint,
    maker: User,
    draw: Callable[..., Job],
) -> None:
    press_drafts(studio, endpoint, maker, ["a pear", "a plum"], 12)
    for _ in range(4):
        draw("a red apple", count=4)
    [given] = pickers(open_page())
    assert [len(part["items"]) for part in given["parts"]] == [6, 6]  # type: ignore[attr-defined]


def test_a_failed_job_is_shown_next_to_the_other_drafts_which_can_still_be_picked(
    open_page: Callable[..., AppTest], studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    jobs = press_drafts(studio, endpoint, maker, ["a pear", "a plum", "a fig"], 12, fail=0, leave=2)
    at = open_page(query={"job": jobs[0].id, "picks": jobs[1].image_ids[1]})
    [given] = pickers(at)
    pear, plum, fig = given["parts"]  # type: ignore[misc]
    assert pear["items"] == [] and len(plum["items"]) == 4 and fig["items"] == []
    [why] = pear["remarks"]
    assert why["failed"] and why["text"].startswith("4 drafts failed. ") and plum["remarks"] == []
    assert "Nothing was charged." in why["text"]
    assert fig["remarks"] == [{"text": "4 drafts still being drawn.", "failed": False}]
    # The failure is reported only there, not above the grid as well.
    assert not [button for button in at.button if str(button.key).startswith("retry_")]
    at.button(key=f"finish_{group_of(jobs)}").click().run()
    finals = [job for job in studio.jobs.list(maker).items if job.final_of]
    assert [(job.final_of, job.spec.seed) for job in finals] == [(jobs[1].id, 101)]


def test_failed_drafts_are_redrawn_in_their_place(
    open_page: Callable[..., AppTest], studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    jobs = press_drafts(studio, endpoint, maker, ["a pear", "a plum"], 8, fail=0)
    at = open_page(query={"job": jobs[0].id})
    button = at.button(key=f"again_{group_of(jobs)}")
    assert button.label == "Draw the 4 missing drafts again"
    button.click().run()
    again = studio.jobs.list(maker).items[0]
    assert (again.spec, again.draft) == (jobs[0].spec, jobs[0].draft)
    assert not at.button(key=f"cancel_{again.id}").disabled
    # The first failure is no longer reported, neither in the grid nor above it.
    [given] = pickers(at)
    assert given["parts"][0]["remarks"] == [{"text": "4 drafts still being drawn.", "failed": False}]  # type: ignore[index]
    assert not [each for each in at.button if str(each.key).startswith(("again_", "retry_"))]
    endpoint.complete(endpoint.accepted[-1])
    studio.completion.finish(maker.id, again.id, 1)
    [given] = pickers(open_page())
    assert [len(part["items"]) for part in given["parts"]] == [4, 4]  # type: ignore[attr-defined]


def test_picks_from_several_prompts_are_finished_with_one_click(
    open_page: Callable[..., AppTest], studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    jobs = press_drafts(studio, endpoint, maker, ["a pear", "a plum"], 8)
    picked = [jobs[0].image_ids[1], jobs[1].image_ids[1], jobs[1].image_ids[2]]
    price = studio.drafts.look(maker, picked).estimate
    at = open_page(query={"picks": ",".join(picked)})
    button = at.button(key=f"finish_{group_of(jobs)}")
    assert button.label == "Finish 3 at full quality"
    assert price is not None and f"About \\{dollars(price.cost_usd)} ·" in words(at)
    button.click().run()
    assert not at.exception and not at.error and "picks" not in at.query_params
    finals = [job for job in studio.jobs.list(maker).items if job.final_of]
    assert sorted((job.spec.prompt, job.spec.seed, job.spec.count) for job in finals) == [
        ("a pear", 101, 1),
        ("a plum", 101, 2),
    ]
    assert all(not at.button(key=f"cancel_{job.id}").disabled for job in finals)


def test_a_second_window_with_the_same_picks_shows_the_running_jobs_without_a_charge(
    open_page: Callable[..., AppTest], studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    jobs = press_drafts(studio, endpoint, maker, ["a pear", "a plum"], 8)
    query = {"picks": ",".join([jobs[0].image_ids[1], jobs[1].image_ids[2]])}
    first, second = open_page(query=query), open_page(query=query)
    name = f"finish_{group_of(jobs)}"
    first.button(key=name).click().run()
    spent = studio.ledger.usage(maker)
    assert second.button(key=name).label == "Finish 2 at full quality"
    second.button(key=name).click().run()
    assert not second.exception and not second.error
    assert studio.ledger.usage(maker) == spent
    assert len([job for job in studio.jobs.list(maker).items if job.final_of]) == 2
    third = open_page(query=query)
    assert third.button(key=name).label == "Show the finished pictures"
    assert "All of these are already finished or being drawn. You are not charged again." in words(third)


def test_only_picks_not_yet_finished_are_priced_and_drawn(
    open_page: Callable[..., AppTest], studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    jobs = press_drafts(studio, endpoint, maker, ["a pear", "a plum"], 8)
    [made] = studio.drafts.finish(maker, jobs[0].image_ids[:1])[0].sent
    at = open_page(query={"picks": f"{jobs[0].image_ids[0]},{jobs[1].image_ids[0]}"})
    assert at.button(key=f"finish_{group_of(jobs)}").label == "Finish 1 at full quality"
    assert "1 more already finished or being drawn" in words(at)
    at.button(key=f"finish_{group_of(jobs)}").click().run()
    finals = [job for job in studio.jobs.list(maker).items if job.final_of]
    assert len(finals) == 2 and made.id in {job.id for job in finals}


def test_a_draft_that_could_not_be_sent_stays_picked_and_an_error_is_shown(
    open_page: Callable[..., AppTest],
    studio: Studio,
    endpoint: ScriptedEndpoint,
    maker: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = press_drafts(studio, endpoint, maker, ["a pear", "a plum"], 8)
    query = ",".join([jobs[0].image_ids[1], jobs[1].image_ids[2]])
    at = open_page(query={"picks": query})
    submit_job, calls = studio.jobs.submit, []

    def away(*args: object, **more: object) -> Job:
        calls.append(1)
        if len(calls) == 2:
            raise Unavailable("DynamoDB is away.")
        return submit_job(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(studio.jobs, "submit", away)
    at.button(key=f"finish_{group_of(jobs)}").click().run()
    said = words(at)
    assert len(calls) == 2 and "1 of 2 jobs were sent and are running." in said
    assert "Choose Finish again to send only the missing ones." in said
    assert at.query_params["picks"] in (query, [query])
    assert at.button(key=f"finish_{group_of(jobs)}").label == "Finish 1 at full quality"
    at.button(key=f"finish_{group_of(jobs)}").click().run()
    assert "picks" not in at.query_params and "were sent and are running" not in words(at)
    assert len([job for job in studio.jobs.list(maker).items if job.final_of]) == 2


def test_picks_from_two_groups_of_drafts_are_independent(
    open_page: Callable[..., AppTest], studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    one = press_drafts(studio, endpoint, maker, ["a pear", "a plum"], 8)
    two = press_drafts(studio, endpoint, maker, ["a fig"], 4)
    picks = [one[1].image_ids[0], two[0].image_ids[1]]
    at = open_page(query={"picks": ",".join([*picks, f"{one[0].id}-77", "x" * 5000])})
    for jobs in (one, two):
        assert at.button(key=f"finish_{group_of(jobs)}").label == "Finish 1 at full quality"
    at.button(key=f"finish_{group_of(two)}").click().run()
    assert at.query_params["picks"] in (picks[0], [picks[0]])
    at.button(key=f"unpick_{group_of(one)}").click().run()
    assert "picks" not in at.query_params


def test_picks_are_read_from_the_url_and_finished_at_the_shown_price(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, drafted: list[Job]
) -> None:
    picked = [drafted[0].image_ids[1], drafted[1].image_ids[2]]
    at = open_page(query={"picks": ",".join([*picked, "nonsense", "x" * 5000])})
    said = words(at)
    assert "8 drafts, 6 steps each · finished with 20 steps" in said
    button = at.button(key=f"finish_{group_of(drafted)}")
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


def test_a_finished_picture_appears_next_to_its_draft(
    open_page: Callable[..., AppTest],
    studio: Studio,
    endpoint: ScriptedEndpoint,
    maker: User,
    drafted: list[Job],
) -> None:
    [final] = studio.drafts.finish(maker, [drafted[0].image_ids[1]])[0].sent
    endpoint.complete(endpoint.accepted[-1])
    studio.completion.finish(maker.id, final.id, 1)
    at = open_page()
    assert "Draft, then full quality with 20 steps · seed 101" in words(at)
    studio.images.delete(maker, drafted[0].image_ids[1])
    at = open_page()
    assert "Full quality with 20 steps · seed 101" in words(at)
    assert not at.exception and not at.error


def test_another_users_drafts_in_the_url_are_not_shown(
    open_page: Callable[..., AppTest], studio: Studio, other: User, endpoint: ScriptedEndpoint
) -> None:
    [job] = press_drafts(studio, endpoint, other, ["not yours"], 4)
    at = open_page(query={"picks": f"{job.id}-0", "job": job.id})
    assert "not yours" not in words(at) and not at.exception
    assert not [button for button in at.button if str(button.key).startswith("finish_")]


def test_only_the_new_ones_of_several_prompts_are_drawn(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, draw: Callable[..., Job]
) -> None:
    draw("a red apple", seed=7)
    at = open_page()
    at.number_input(key="g_seed").set_value(7)
    submit(at, "a {red|blue|green} apple")
    assert len(studio.jobs.list(maker).items) == 1
    said = words(at)
    assert "You already drew 1 of these 3." in said and "That saves" in said
    at.button(key="draw_others").click().run()
    prompts = [job.spec.prompt for job in studio.jobs.list(maker).items]
    assert sorted(prompts) == ["a blue apple", "a green apple", "a red apple"]
    assert "a red apple" in [text.value for text in at.text]


def test_prompts_that_were_all_drawn_before_are_shown_without_a_charge(
    open_page: Callable[..., AppTest], studio: Studio, maker: User, draw: Callable[..., Job]
) -> None:
    for prompt in ("a red apple", "a blue apple"):
        draw(prompt, seed=7)
    at = open_page()
    at.number_input(key="g_seed").set_value(7)
    submit(at, "a {red|blue} apple")
    at.button(key="show_same").click().run()
    assert len(studio.jobs.list(maker).items) == 2 and not at.exception


def test_only_the_new_drafts_of_several_prompts_are_drawn(
    open_page: Callable[..., AppTest], studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    [old] = press_drafts(studio, endpoint, maker, ["a red apple"], 4)
    at = open_page()
    at.slider(key="g_steps").set_value(20)
    at.segmented_control(key="g_quality").set_value("fine").run()
    at.number_input(key="g_seed").set_value(100)
    at.segmented_control(key="press_drafts").set_value(8)
    submit(at, "a {red|blue} apple")
    said = words(at)
    assert "You already drew 4 of these 8 drafts." in said and "The other 4: " in said
    assert at.button(key="draw_others").label == "Draw only the other 4"
    assert at.button(key="draw_again").label == "Draw all 8 anyway"
    at.button(key="draw_others").click().run()
    made = [job for job in studio.jobs.list(maker).items if job.id != old.id]
    assert [(job.spec.prompt, job.spec.count) for job in made] == [("a blue apple", 4)]
    assert old.id in [
        item["id"].rpartition("-")[0] for part in pickers(at)[0]["parts"] for item in part["items"]
    ]  # type: ignore[attr-defined]
