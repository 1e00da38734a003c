"""Drafts and what is finished of them: the same seeds, the quality that was asked for, told on the record."""

from __future__ import annotations

import pytest

from services.build import Studio
from services.drafts import draft_number, draft_steps, in_group, plan
from services.errors import InvalidRequest, NotFound
from services.records import Job, JobRequest, JobStatus, User
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.hostile_files import png

FINE = JobRequest(prompt="a red apple", model="pocket", quality="fine", steps=20, seed=100)


def drafts_of(
    studio: Studio, endpoint: ScriptedEndpoint, user: User, request: JobRequest, count: int
) -> list[Job]:
    worker = Worker(studio, studio.results_queue, studio.metrics)
    requests = in_group(plan(studio.catalogue.card("pocket"), request, count), "press")
    batch = studio.batches.submit(user, requests, key="press")
    assert batch.refused is None
    for taken in endpoint.accepted[-len(requests) :]:
        worker.handle(endpoint.complete(taken))
    return [studio.jobs.get(user, job.id) for job in batch.sent]


def test_drafts_have_the_lowest_quality_and_a_seed_each(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    jobs = drafts_of(studio, endpoint, maker, FINE, 12)
    assert [(job.spec.steps, job.spec.quality, job.spec.count) for job in jobs] == [(6, "draft", 4)] * 3
    assert [job.spec.seed for job in jobs] == [100, 104, 108]
    assert {job.status for job in jobs} == {JobStatus.SUCCEEDED}
    assert {(job.draft.steps, job.draft.quality) for job in jobs if job.draft} == {(20, "fine")}
    assert len({job.draft.group for job in jobs if job.draft}) == 1


def test_without_a_seed_each_job_of_drafts_draws_its_own(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    jobs = drafts_of(studio, endpoint, maker, FINE.model_copy(update={"seed": None}), 8)
    assert len({job.id for job in jobs}) == 2
    assert len({job.spec.seed for job in jobs}) == 2


def test_the_same_press_again_makes_no_second_drafts(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    first = drafts_of(studio, endpoint, maker, FINE.model_copy(update={"seed": None}), 8)
    requests = in_group(
        plan(studio.catalogue.card("pocket"), FINE.model_copy(update={"seed": None}), 8), "press"
    )
    again = studio.batches.submit(maker, requests, key="press", again=True)
    assert [job.id for job in again.sent] == [job.id for job in first]


def test_only_the_picked_seeds_are_drawn_in_full_and_know_their_draft(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    one, two = drafts_of(studio, endpoint, maker, FINE, 8)
    picked = [one.image_ids[1], one.image_ids[2], two.image_ids[3], two.image_ids[0]]
    requests = studio.drafts.finals(maker, picked)
    asked = [(each.seed, each.count, each.steps, each.quality, each.final_of) for each in requests]
    assert asked == [
        (101, 2, 20, "fine", one.id), (104, 1, 20, "fine", two.id), (107, 1, 20, "fine", two.id),
    ]  # fmt: skip
    batch = studio.batches.submit(maker, requests, key="finish")
    assert batch.refused is None
    estimate = studio.drafts.estimate(maker, picked)
    assert estimate.cost_usd == pytest.approx(sum(job.estimate.cost_usd for job in batch.sent))
    final = batch.sent[0]
    assert final.final_of == one.id and final.draft is None
    assert [draft_number(final, one, n) for n in range(final.spec.count)] == [1, 2]
    assert studio.jobs.find_many(maker, [str(final.final_of)])[one.id].draft is not None


def test_drafts_over_a_picture_are_finished_over_the_same_one(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    over = FINE.model_copy(update={"image": png(size=(128, 128)), "strength": 0.5})
    [job] = drafts_of(studio, endpoint, maker, over, 4)
    [final] = studio.drafts.finals(maker, job.image_ids)
    assert final.image is not None and final.strength == 0.5
    sent = studio.batches.submit(maker, [final], key="finish").sent[0]
    assert sent.spec.image_sha256 == job.spec.image_sha256


def test_what_is_no_draft_of_ones_own_looks_like_none(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, other: User
) -> None:
    [job] = drafts_of(studio, endpoint, maker, FINE, 4)
    ordinary = studio.jobs.submit(maker, FINE)
    for user, ids in (
        (other, job.image_ids),
        (maker, (f"{ordinary.id}-0",)),
        (maker, (f"{job.id}-4",)),
        (maker, ("x",)),
        (maker, ("../../etc",)),
    ):
        for ask in (studio.drafts.finals, studio.drafts.estimate):
            with pytest.raises(NotFound):
                ask(user, ids)
    with pytest.raises(InvalidRequest):
        studio.drafts.finals(maker, ())


def test_drafts_are_offered_only_where_they_are_cheaper(studio: Studio) -> None:
    card = studio.catalogue.card("pocket")
    assert draft_steps(card, JobRequest(prompt="x", steps=6)) is None
    assert draft_steps(card, JobRequest(prompt="x", steps=3)) is None
    assert draft_steps(card, JobRequest(prompt="x")) == 6


def test_the_same_again_is_found_for_several_at_once(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, other: User
) -> None:
    worker = Worker(studio, studio.results_queue, studio.metrics)
    asked = [JobRequest(prompt=f"a {what}", seed=7) for what in ("pear", "plum", "fig")]
    made = [studio.jobs.submit(maker, request) for request in asked[:2]]
    for taken in endpoint.accepted:
        worker.handle(endpoint.complete(taken))
    found = studio.batches.find_same(maker, [*asked, JobRequest(prompt="a pear")])
    assert [job and job.id for job in found] == [made[0].id, made[1].id, None, None]
    assert studio.batches.find_same(other, asked) == (None, None, None)
    studio.images.delete(maker, f"{made[0].id}-0")
    assert [job and job.id for job in studio.batches.find_same(maker, asked)] == [None, made[1].id, None]
