"""Tests of drafts and their finals: same seeds, requested quality, recorded on the job, charged once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier, Lock
from typing import Any

import pytest

from services.build import Studio, build
from services.errors import Conflict, InvalidRequest, LimitReached, NotFound, Unavailable
from services.jobs.drafts import draft_number, draft_steps, each_of, in_group, plan
from services.jobs.multi_submit import SubmitResult
from services.records import Job, JobRequest, JobStatus, User
from services.settings import Settings
from services.worker import Worker
from tests.endpoint import ScriptedEndpoint
from tests.faults.lost import LostAnswers
from tests.hostile_files import png
from tests.wire.conftest import real_clients

FINE = JobRequest(prompt="a red apple", model="pocket", quality="fine", steps=20, seed=100)
FRUIT = tuple(FINE.model_copy(update={"prompt": f"a {what}"}) for what in ("pear", "plum", "fig"))


def worker_of(studio: Studio) -> Worker:
    return Worker(studio, studio.results_queue, studio.metrics)


def drafts_of(
    studio: Studio,
    endpoint: ScriptedEndpoint,
    user: User,
    request: JobRequest | Sequence[JobRequest],
    count: int,
    *,
    key: str = "press",
) -> list[Job]:
    asked = [request] if isinstance(request, JobRequest) else request
    requests = in_group(plan(studio.catalogue.card("pocket"), asked, count), key)
    batch = studio.multi_submit.submit(user, requests, key=key)
    assert batch.refused is None
    for taken in endpoint.accepted[-len(requests) :]:
        worker_of(studio).handle(endpoint.complete(taken))
    return [studio.jobs.get(user, job.id) for job in batch.sent]


def finish(studio: Studio, user: User, image_ids: Sequence[str]) -> SubmitResult:
    return studio.drafts.finish(user, image_ids)[0]


def end(studio: Studio, endpoint: ScriptedEndpoint, jobs: Sequence[Job]) -> None:
    """Completes the jobs, which were the last to be invoked."""
    for taken in endpoint.accepted[-len(jobs) :]:
        worker_of(studio).handle(endpoint.complete(taken))


def test_drafts_have_the_lowest_quality_and_a_seed_each(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    jobs = drafts_of(studio, endpoint, maker, FINE, 12)
    assert [(job.spec.steps, job.spec.quality, job.spec.count) for job in jobs] == [(6, "draft", 4)] * 3
    assert [job.spec.seed for job in jobs] == [100, 104, 108]
    assert {job.status for job in jobs} == {JobStatus.SUCCEEDED}
    assert {(job.draft.steps, job.draft.quality) for job in jobs if job.draft} == {(20, "fine")}
    assert len({job.draft.group for job in jobs if job.draft}) == 1


def test_without_a_seed_each_draft_job_gets_its_own(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    jobs = drafts_of(studio, endpoint, maker, FINE.model_copy(update={"seed": None}), 8)
    assert len({job.id for job in jobs}) == 2
    assert len({job.spec.seed for job in jobs}) == 2


def test_repeating_a_submission_creates_no_second_drafts(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    first = drafts_of(studio, endpoint, maker, FINE.model_copy(update={"seed": None}), 8)
    requests = in_group(
        plan(studio.catalogue.card("pocket"), [FINE.model_copy(update={"seed": None})], 8), "press"
    )
    again = studio.multi_submit.submit(maker, requests, key="press", again=True)
    assert [job.id for job in again.sent] == [job.id for job in first]


def test_several_prompts_get_the_same_number_of_drafts_and_the_same_seeds(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    jobs = drafts_of(studio, endpoint, maker, FRUIT[:2], 12)
    asked = [(job.spec.prompt, job.spec.seed, job.spec.count) for job in jobs]
    assert asked == [("a pear", 100, 4), ("a pear", 104, 2), ("a plum", 100, 4), ("a plum", 104, 2)]
    assert [(job.draft.part, job.draft.parts) for job in jobs if job.draft] == [
        (0, 4),
        (1, 4),
        (2, 4),
        (3, 4),
    ]
    assert len({job.draft.group for job in jobs if job.draft}) == 1


def test_every_prompt_gets_the_same_number_of_drafts_and_at_least_one() -> None:
    assert [[each_of(count, prompts) for count in (4, 8, 12)] for prompts in (1, 2, 3, 5, 50)] == [
        [4, 8, 12], [2, 4, 6], [1, 2, 4], [1, 1, 2], [1, 1, 1],
    ]  # fmt: skip


def test_too_many_drafts_are_refused_before_submission_with_a_suggestion(
    settings: Settings, endpoint: ScriptedEndpoint, maker: User
) -> None:
    clients = replace(real_clients(settings), sagemaker=endpoint, sagemaker_runtime=endpoint)
    tight = build(settings.model_copy(update={"user_open_jobs": 3}), clients)
    try:
        requests = in_group(plan(tight.catalogue.card("pocket"), FRUIT[:2], 12), "press")
        batch = tight.multi_submit.submit(maker, requests, key="press")
        assert batch.sent == () and batch.refused is not None
        assert isinstance(batch.refused.error, LimitReached)
        assert str(batch.refused.error) == (
            "These 12 drafts of 2 prompts (4 jobs) are too many at once: of 3 open jobs you have 0. Nothing was sent. "
            "Ask for fewer, or take out some alternatives."
        )
        jobs = drafts_of(tight, endpoint, maker, FRUIT[:2], 8)
        odd = [one for job in jobs for one in (job.image_ids[0], job.image_ids[2])]
        refused = finish(tight, maker, odd).refused
        assert refused is not None and "These 4 pictures (4 jobs)" in str(refused.error)
        assert str(refused.error).endswith("Nothing was sent. Pick fewer.")
        assert len(endpoint.accepted) == 2
    finally:
        tight.close()


def test_all_jobs_of_a_submission_are_found_from_any_of_them(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, other: User
) -> None:
    card = studio.catalogue.card("pocket")
    requests = in_group(plan(card, FRUIT, 12), "press")
    sent = studio.multi_submit.submit(maker, requests, key="press").sent
    worker_of(studio).handle(endpoint.complete(endpoint.accepted[-1]))
    worker_of(studio).handle(endpoint.fail(endpoint.accepted[0]))
    rest = studio.drafts.rest(maker, [studio.jobs.get(maker, sent[2].id)])
    assert {job.id: job.status for job in rest} == {
        sent[0].id: JobStatus.FAILED, sent[1].id: JobStatus.STARTING,
    }  # fmt: skip
    # Only failed jobs are looked up again, because they may have been replaced.
    every = [studio.jobs.get(maker, job.id) for job in sent]
    assert [job.id for job in studio.drafts.rest(maker, every)] == [sent[0].id]
    assert studio.drafts.rest(maker, sent) == ()
    assert studio.drafts.rest(other, sent[:1]) == ()


@pytest.mark.parametrize("how", ["failed", "canceled"])
def test_a_missing_draft_is_redrawn_only_once_and_replaces_the_lost_one(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, how: str
) -> None:
    requests = in_group(plan(studio.catalogue.card("pocket"), FRUIT, 12), "press")
    pear, plum, _ = studio.multi_submit.submit(maker, requests, key="press").sent
    if how == "failed":
        worker_of(studio).handle(endpoint.fail(endpoint.accepted[0]))
    else:
        studio.jobs.cancel(maker, pear.id)
    lost = studio.jobs.get(maker, pear.id)
    [again] = studio.drafts.again(maker, [lost, plum]).sent
    assert [job.id for job in studio.drafts.again(maker, [lost]).sent] == [again.id]
    assert again.id != pear.id and again.draft == pear.draft
    assert again.spec == pear.spec and studio.drafts.price([lost]).cost_usd == again.estimate.cost_usd
    assert [job.id for job in studio.drafts.rest(maker, [lost, plum])][:1] == [again.id]
    # Erasing the lost job keeps its replacement.
    studio.jobs.delete(maker, lost.id)
    assert [job.id for job in studio.drafts.rest(maker, [plum])][:1] == [again.id]
    end(studio, endpoint, [again])
    [final] = finish(studio, maker, [f"{again.id}-2"]).sent
    assert (final.spec.seed, final.final_of) == (102, again.id)


def test_erasing_also_erases_the_record_of_a_submission(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    jobs = drafts_of(studio, endpoint, maker, FRUIT, 12)
    studio.jobs.delete(maker, jobs[0].id)
    assert [job.id for job in studio.drafts.rest(maker, jobs[1:2])] == [jobs[2].id]
    studio.jobs.delete_all(maker)
    assert studio.drafts.rest(maker, jobs[:1]) == ()


def test_only_the_picked_seeds_are_drawn_in_full_and_refer_to_their_draft(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    one, two = drafts_of(studio, endpoint, maker, FINE, 8)
    picked = [one.image_ids[1], one.image_ids[2], two.image_ids[3], two.image_ids[0]]
    look = studio.drafts.look(maker, picked)
    assert look.count == 4 and look.there == () and look.estimate is not None
    batch = finish(studio, maker, picked)
    assert batch.refused is None
    made = [
        (job.spec.seed, job.spec.count, job.spec.steps, job.spec.quality, job.final_of) for job in batch.sent
    ]
    assert made == [
        (101, 2, 20, "fine", one.id), (104, 1, 20, "fine", two.id), (107, 1, 20, "fine", two.id),
    ]  # fmt: skip
    assert look.estimate.cost_usd == pytest.approx(sum(job.estimate.cost_usd for job in batch.sent))
    final = batch.sent[0]
    assert final.draft is None
    assert [draft_number(final, one, n) for n in range(final.spec.count)] == [1, 2]
    assert studio.jobs.get(maker, one.id).finals == {1: final.id, 2: final.id}
    assert studio.jobs.find_many(maker, [str(final.final_of)])[one.id].draft is not None


def test_drafts_of_several_prompts_are_finished_by_one_click(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    pear, _, fig = drafts_of(studio, endpoint, maker, FRUIT, 12)
    batch = finish(studio, maker, [fig.image_ids[3], pear.image_ids[0]])
    made = [(job.spec.prompt, job.spec.seed, job.final_of) for job in batch.sent]
    assert made == [("a pear", 100, pear.id), ("a fig", 103, fig.id)]


@contextmanager
def both_have_read(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Holds two concurrent submissions until both have read their drafts, then lets them send one after the other."""
    together, one_at_a_time, send = Barrier(2, timeout=30), Lock(), studio.multi_submit.send

    def sent(*arguments: Any, **named: Any) -> SubmitResult:
        together.wait()
        with one_at_a_time:
            return send(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(studio.multi_submit, "send", sent)
        yield


def test_the_same_picks_submitted_in_two_windows_are_drawn_and_charged_once(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = drafts_of(studio, endpoint, maker, FRUIT, 12)
    picked = [jobs[0].image_ids[1], jobs[1].image_ids[2]]
    with both_have_read(studio, monkeypatch), ThreadPoolExecutor(2) as windows:
        pressed = [windows.submit(finish, studio, maker, picked) for _ in range(2)]
        first, second = (press.result() for press in pressed)
    assert [job.id for job in first.sent] == [job.id for job in second.sent]
    batch, there = studio.drafts.finish(maker, picked)
    assert (
        batch.asked == 0 and batch.sent == () and [job.id for job in there] == [job.id for job in first.sent]
    )
    assert len([job for job in studio.jobs.list(maker).items if job.final_of]) == 2


def test_overlapping_picks_in_two_windows_draw_nothing_twice(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    [job] = drafts_of(studio, endpoint, maker, FINE, 4)
    send = studio.multi_submit.send

    def late(*arguments: Any, **named: Any) -> SubmitResult:
        # This window has read the drafts; the other one submits before this one sends.
        monkeypatch.setattr(studio.multi_submit, "send", send)
        assert finish(studio, maker, job.image_ids[:2]).refused is None
        spent.append(studio.ledger.usage(maker))
        return send(*arguments, **named)

    spent: list[Any] = []
    monkeypatch.setattr(studio.multi_submit, "send", late)
    refused = finish(studio, maker, job.image_ids[:1]).refused
    assert refused is not None and isinstance(refused.error, Conflict)
    assert "Look at them again" in str(refused.error)
    assert [studio.ledger.usage(maker)] == spent
    # After another look, only the missing picture is drawn.
    look = studio.drafts.look(maker, job.image_ids[:3])
    assert look.count == 1 and len(look.there) == 1
    assert [each.spec.seed for each in finish(studio, maker, job.image_ids[:3]).sent] == [102]


def test_a_finished_draft_is_drawn_again_only_after_its_picture_is_deleted(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    [job] = drafts_of(studio, endpoint, maker, FINE, 4)
    made = finish(studio, maker, job.image_ids[:2]).sent
    end(studio, endpoint, made)
    look = studio.drafts.look(maker, job.image_ids[:2])
    assert (look.count, look.estimate, [each.id for each in look.there]) == (0, None, [made[0].id])
    studio.images.delete(maker, f"{made[0].id}-1")
    again = finish(studio, maker, job.image_ids[:2]).sent
    assert [(each.spec.seed, each.spec.count) for each in again] == [(101, 1)]
    assert studio.jobs.get(maker, job.id).finals == {0: made[0].id, 1: again[0].id}


@pytest.mark.parametrize("how", ["failed", "canceled", "erased"])
def test_a_failed_final_can_be_requested_again(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, how: str
) -> None:
    [job] = drafts_of(studio, endpoint, maker, FINE, 4)
    [lost] = finish(studio, maker, job.image_ids[:1]).sent
    if how == "canceled":
        studio.jobs.cancel(maker, lost.id)
    else:
        worker_of(studio).handle(endpoint.fail(endpoint.accepted[-1]))
    if how == "erased":
        studio.jobs.delete(maker, lost.id)
    assert studio.drafts.look(maker, job.image_ids[:1]).count == 1
    [again] = finish(studio, maker, job.image_ids[:1]).sent
    assert again.id != lost.id and again.spec.seed == lost.spec.seed


def test_a_submission_with_a_lost_answer_is_found_by_the_next_one(
    settings: Settings, endpoint: ScriptedEndpoint, maker: User
) -> None:
    clients = replace(real_clients(settings), sagemaker=endpoint, sagemaker_runtime=endpoint)
    studio = build(settings, clients)
    try:
        jobs = drafts_of(studio, endpoint, maker, FRUIT, 12)
        picked = [job.image_ids[0] for job in jobs]
        with LostAnswers(clients.dynamodb, "TransactWriteItems", times=1, skip=1) as lost:
            batch = finish(studio, maker, picked)
        assert lost.fired == 1 and batch.refused is None
        assert len(batch.sent) == 3
        assert len([job for job in studio.jobs.list(maker).items if job.final_of]) == 3
    finally:
        studio.close()


def test_an_interrupted_submission_is_completed_by_the_next_one_and_charged_once(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = drafts_of(studio, endpoint, maker, FRUIT, 12)
    picked = [job.image_ids[0] for job in jobs]
    submit, calls = studio.jobs.submit, 0

    def cut(*args: object, **more: object) -> Job:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Unavailable("DynamoDB is away.")
        return submit(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(studio.jobs, "submit", cut)
    batch = finish(studio, maker, picked)
    assert calls == 2 and batch.refused is not None and (len(batch.sent), batch.asked) == (1, 3)
    look = studio.drafts.look(maker, picked)
    assert look.count == 2 and [job.id for job in look.there] == [batch.sent[0].id]
    rest = finish(studio, maker, picked)
    assert [job.spec.prompt for job in rest.sent] == ["a plum", "a fig"]


def test_drafts_that_were_erased_in_the_meantime_are_not_finished(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    [job] = drafts_of(studio, endpoint, maker, FINE, 4)
    runs, _ = studio.drafts._runs(maker, job.image_ids[:1])
    submissions = [studio.drafts._submission(run) for run in runs]
    studio.jobs.delete(maker, job.id)
    refused = studio.multi_submit.send(maker, submissions).refused
    assert refused is not None and isinstance(refused.error, Conflict)
    assert studio.jobs.list(maker).items == ()


def test_drafts_over_a_picture_are_finished_over_the_same_picture(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    over = FINE.model_copy(update={"image": png(size=(128, 128)), "strength": 0.5})
    [job] = drafts_of(studio, endpoint, maker, over, 4)
    [final] = finish(studio, maker, job.image_ids).sent
    assert final.spec.strength == 0.5
    assert final.spec.image_sha256 == job.spec.image_sha256


def test_another_users_draft_looks_like_a_missing_one(
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
        for ask in (studio.drafts.finish, studio.drafts.look):
            with pytest.raises(NotFound):
                ask(user, ids)
    with pytest.raises(InvalidRequest):
        studio.drafts.finish(maker, ())


def test_only_drafts_that_can_be_picked_from_count_as_identical_to_drafts(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User
) -> None:
    card = studio.catalogue.card("pocket")
    wanted = plan(card, FRUIT[:2], 8)
    assert studio.multi_submit.find_same(maker, wanted) == (None, None)
    pear = drafts_of(studio, endpoint, maker, FRUIT[:1], 4)[0]
    found = studio.multi_submit.find_same(maker, wanted)
    assert [job and job.id for job in found] == [pear.id, None]
    # Ordinary pictures with equally few steps are identical; drafts for another quality are not.
    ordinary = wanted[0].model_copy(update={"draft": None})
    assert [job and job.id for job in studio.multi_submit.find_same(maker, [ordinary])] == [pear.id]
    finer = plan(card, [FRUIT[0].model_copy(update={"steps": 30})], 4)
    assert studio.multi_submit.find_same(maker, finer) == (None,)
    plum = studio.jobs.submit(maker, wanted[1].model_copy(update={"draft": None}))
    end(studio, endpoint, [plum])
    assert [job and job.id for job in studio.multi_submit.find_same(maker, wanted)] == [pear.id, None]


def test_drafts_are_offered_only_where_they_are_cheaper(studio: Studio) -> None:
    card = studio.catalogue.card("pocket")
    assert draft_steps(card, JobRequest(prompt="x", steps=6)) is None
    assert draft_steps(card, JobRequest(prompt="x", steps=3)) is None
    assert draft_steps(card, JobRequest(prompt="x")) == 6


def test_identical_earlier_jobs_are_found_for_several_requests_at_once(
    studio: Studio, endpoint: ScriptedEndpoint, maker: User, other: User
) -> None:
    worker = Worker(studio, studio.results_queue, studio.metrics)
    asked = [JobRequest(prompt=f"a {what}", seed=7) for what in ("pear", "plum", "fig")]
    made = [studio.jobs.submit(maker, request) for request in asked[:2]]
    for taken in endpoint.accepted:
        worker.handle(endpoint.complete(taken))
    found = studio.multi_submit.find_same(maker, [*asked, JobRequest(prompt="a pear")])
    assert [job and job.id for job in found] == [made[0].id, made[1].id, None, None]
    assert studio.multi_submit.find_same(other, asked) == (None, None, None)
    studio.images.delete(maker, f"{made[0].id}-0")
    assert [job and job.id for job in studio.multi_submit.find_same(maker, asked)] == [None, made[1].id, None]
