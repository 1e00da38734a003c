"""Tests of batching: which requests are drawn together, their pictures, and how each one ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from inference import batching
from inference.batch_run import BatchRun, Member
from inference.batching import PassSizes, batch_key, cut, halve, spans, take_batch
from inference.contract import Payload
from inference.pipelines.family import Model
from inference.progress import ProgressReporter
from inference.tickets import Ticket
from tests.inference.client import PAYLOAD, Answer, invoke, send_and_keep_open, wait_until
from tests.inference.conftest import LocalServer
from tests.inference.crowd import difference, draw_together, pass_sizes, pixels, queue_up
from tests.inference.onlookers import Onlooker, draw_alone

StartServer = Callable[..., LocalServer]

PROMPTS = ["a red apple", "a blue fox on green", "boat", "two words"]

# Raised in diffusers' schedulers with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def payload(**changes: Any) -> Payload:
    return Payload(**{**PAYLOAD, **changes})


def mixed(**changes: Any) -> list[Payload]:
    """Return requests of one batch that differ in everything a batch allows."""
    return [
        payload(prompt=prompt, negative_prompt=negative, seed=seed, num_images_per_prompt=count, **changes)
        for prompt, negative, seed, count in zip(
            PROMPTS, ["", "dog", "", "x y"], [7, 0, 2**32 - 1, 9], [1, 3, 2, 2], strict=True
        )
    ]


def test_waiting_requests_are_drawn_in_one_pass(local_server: StartServer) -> None:
    server = local_server()

    answers = draw_together(server, [{"seed": seed} for seed in (1, 2, 3)])

    assert pass_sizes(server) == [3]
    for seed, answer in zip((1, 2, 3), answers, strict=True):
        assert answer.json["batch_pictures"] == 3
        assert [image["seed"] for image in answer.json["images"]] == [seed]
    assert len({answer.json["images"][0]["sha256"] for answer in answers}) == 3


def test_clients_that_send_again_at_once_are_drawn_together_again(
    local_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "GATHER_SHARE", 1000.0)
    monkeypatch.setattr(batching, "LONGEST_GATHER_S", 20.0)
    server = local_server()

    def go_on(earlier: Future[Answer]) -> None:
        assert earlier.result().status == 200
        assert invoke(server.port, seed=9).status == 200

    with ThreadPoolExecutor(5) as pool:
        again = [pool.submit(go_on, answer) for answer in queue_up(server, pool, [{"seed": 1}, {"seed": 2}])]
        server.model.release()
        for answer in again:
            answer.result()

    assert pass_sizes(server) == [2, 2]


def test_a_pass_waits_only_briefly_for_clients_that_do_not_send_again(
    local_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "LONGEST_GATHER_S", 0.2)
    server = local_server()
    draw_together(server, [{"seed": 1}, {"seed": 2}])

    assert invoke(server.port, seed=3).status == 200
    assert pass_sizes(server) == [2, 1]


def test_requests_sent_together_are_drawn_together(
    local_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "ARRIVAL_SHARE", 1000.0)
    monkeypatch.setattr(batching, "LONGEST_ARRIVAL_S", 20.0)
    server = local_server(max_batch=3)

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda seed: invoke(server.port, seed=seed), (1, 2, 3)))

    assert [answer.json["batch_pictures"] for answer in answers] == [3, 3, 3]


def test_a_lone_client_does_not_wait_for_companions(
    local_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "GATHER_SHARE", 1000.0)
    monkeypatch.setattr(batching, "LONGEST_GATHER_S", 600.0)
    server = local_server()

    assert [invoke(server.port, seed=seed).status for seed in (1, 2, 3)] == [200] * 3


def test_a_pass_holds_no_more_pictures_than_the_setting_says(local_server: StartServer) -> None:
    server = local_server(queue_size=8, max_batch=3)

    answers = draw_together(server, [{"num_images_per_prompt": n} for n in (2, 2, 1, 1)])

    # The second pair does not fit; the single picture after it does.
    assert pass_sizes(server) == [3, 3]
    assert [answer.json["batch_pictures"] for answer in answers] == [3] * 4


def test_the_oldest_request_decides_the_batch(local_server: StartServer) -> None:
    server = local_server()

    answers = draw_together(
        server, [{"guidance_scale": 4.0}, {"guidance_scale": 2.0}, {"guidance_scale": 4.0}]
    )

    assert [[p.guidance_scale for p in payloads] for payloads in server.model.passes] == [[4.0, 4.0], [2.0]]
    assert [answer.json["batch_pictures"] for answer in answers] == [2, 1, 2]


@pytest.mark.parametrize(
    "other",
    [
        {"width": 72},
        {"height": 72},
        {"num_inference_steps": 4},
        {"scheduler": "euler"},
        {"guidance_scale": 1.0},
    ],
    ids=str,
)
def test_requests_with_different_settings_are_drawn_separately(
    local_server: StartServer, other: dict[str, Any]
) -> None:
    server = local_server()

    answers = draw_together(server, [{}, other])

    assert pass_sizes(server) == [1, 1]
    assert [answer.json["batch_pictures"] for answer in answers] == [1, 1]


def test_model_seconds_are_shared_in_proportion_to_pictures(local_server: StartServer) -> None:
    server = local_server()
    server.model.before_step = lambda step: time.sleep(0.1)

    small, large = draw_together(server, [{"num_images_per_prompt": 1}, {"num_images_per_prompt": 3}])

    assert pass_sizes(server) == [4]
    assert large.json["gpu_s"] == pytest.approx(3 * small.json["gpu_s"], rel=0.1)
    whole_s = small.json["gpu_s"] + large.json["gpu_s"]
    assert whole_s >= 0.3
    # Both waited for the whole pass.
    assert small.json["timings"]["denoise_s"] == large.json["timings"]["denoise_s"] <= whole_s


@pytest.mark.parametrize("scheduler", ["ddim", "unipc", "dpmpp_2m", "euler"])
@pytest.mark.parametrize("guidance", [4.0, 0.0])
def test_a_picture_drawn_in_a_batch_equals_the_one_drawn_alone(
    tiny_model: Model, scheduler: str, guidance: float
) -> None:
    requests = mixed(scheduler=scheduler, guidance_scale=guidance, num_inference_steps=6)
    assert len({tiny_model.batch_key(request) for request in requests}) == 1

    together = tiny_model.draw(requests, Onlooker())

    for request, drawing in zip(requests, together, strict=True):
        assert drawing is not None
        assert difference(drawing.pictures, draw_alone(tiny_model, request).pictures) <= 1


@pytest.mark.parametrize("scheduler", ["ddim", "unipc", "dpmpp_2m"])
def test_pockets_picture_drawn_in_a_batch_equals_the_one_drawn_alone(
    pocket_model: Model, scheduler: str
) -> None:
    requests = mixed(scheduler=scheduler, num_inference_steps=8)

    together = pocket_model.draw(requests, Onlooker())

    for request, drawing in zip(requests, together, strict=True):
        assert drawing is not None
        assert difference(drawing.pictures, draw_alone(pocket_model, request).pictures) <= 1


def test_a_request_larger_than_a_pass_is_drawn_in_several_passes(local_server: StartServer) -> None:
    whole = pixels(invoke(local_server().port, seed=2**32 - 2, num_images_per_prompt=5))
    server = local_server(max_batch=2)
    seen: list[int] = []

    def look(_step: int) -> None:
        running = server.engine.running
        assert running is not None
        seen.append(running.members[0].ticket.step)

    server.model.before_step = look
    answer = invoke(server.port, seed=2**32 - 2, num_images_per_prompt=5)

    assert pass_sizes(server) == [1, 2, 2]
    assert [image["seed"] for image in answer.json["images"]] == [2**32 - 2, 2**32 - 1, 0, 1, 2]
    assert difference(pixels(answer), whole) <= 1
    # Its progress counts all pictures.
    assert seen == sorted(seen)
    assert answer.json["batch_pictures"] == 2


def test_a_request_whose_client_disconnects_is_dropped_and_the_others_go_on(
    local_server: StartServer,
) -> None:
    server = local_server()
    with ThreadPoolExecutor() as pool:
        (first,) = queue_up(server, pool, [{"num_inference_steps": 20}])
        leaver = send_and_keep_open(server.port, num_inference_steps=20)
        wait_until(lambda: server.engine.waiting == 2, "queued")

        def hang_up(step: int) -> None:
            running = server.engine.running
            assert running is not None
            if step == 3 and len(running.members) == 2:
                leaver.close()
                wait_until(lambda: running.members[1].ticket.stop, "the client is missed")

        server.model.before_step = hang_up
        server.model.release()

        assert first.result().status == 200
    assert pass_sizes(server) == [2]
    assert difference(pixels(first.result()), pixels(invoke(server.port, num_inference_steps=20))) <= 1


def test_a_deadline_that_passes_while_waiting_ends_the_wait(local_server: StartServer) -> None:
    server = local_server()
    with ThreadPoolExecutor() as pool:
        late, patient = queue_up(server, pool, [{"deadline_s": 0.3, "seed": 1}, {"seed": 2}])
        # The model thread stays paused: the answer does not wait for it.
        answer = late.result(20)
        server.model.release()

        assert patient.result().status == 200
    assert (answer.status, answer.error["code"]) == (504, "deadline_exceeded")
    assert answer.error["param"] == "deadline_s"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert [[p.seed for p in payloads] for payloads in server.model.passes] == [[2]]


def test_a_deadline_that_passes_while_drawing_stops_the_model(local_server: StartServer) -> None:
    server = local_server()
    steps: list[int] = []

    def slow(step: int) -> None:
        steps.append(step)
        time.sleep(0.05)

    server.model.before_step = slow
    answer = invoke(server.port, num_inference_steps=150, deadline_s=0.5)
    wait_until(server.engine.is_idle, "the drawing stops")

    assert (answer.status, answer.error["code"]) == (504, "deadline_exceeded")
    assert 0 < len(steps) < 20
    assert invoke(server.port, num_inference_steps=2, deadline_s=60).status == 200


def test_a_deadline_ends_only_its_own_request_in_a_batch(local_server: StartServer) -> None:
    server = local_server()
    with ThreadPoolExecutor() as pool:
        answers = queue_up(
            server,
            pool,
            [{"num_inference_steps": 30, "deadline_s": 1.0}, {"num_inference_steps": 30, "seed": 8}],
        )
        server.model.before_step = lambda step: time.sleep(0.1)
        server.model.release()
        late, other = (answer.result() for answer in answers)
    server.model.before_step = lambda step: None

    assert [len(payloads) for payloads in server.model.passes] == [2]
    assert (late.status, late.error["code"]) == (504, "deadline_exceeded")
    assert difference(pixels(other), pixels(invoke(server.port, num_inference_steps=30, seed=8))) <= 1


def test_a_deadline_is_kept_even_when_the_model_hangs(local_server: StartServer) -> None:
    server = local_server()
    server.model.hold()

    answer = invoke(server.port, deadline_s=0.5)

    assert server.model.held.is_set()
    assert (answer.status, answer.error["code"]) == (504, "deadline_exceeded")


def test_a_full_queue_reports_the_remaining_time_of_the_running_batch(local_server: StartServer) -> None:
    server = local_server(queue_size=1)
    reached = []

    def slow(step: int) -> None:
        time.sleep(0.2)
        if step == 11:
            reached.append(step)
            server.model.hold()

    server.model.before_step = slow
    with ThreadPoolExecutor() as pool:
        running = pool.submit(invoke, server.port, num_inference_steps=110)
        wait_until(lambda: reached and server.model.held.is_set(), "the eleventh step")
        waiting = pool.submit(invoke, server.port, num_inference_steps=1)
        wait_until(lambda: server.engine.waiting == 1, "the queue is full")
        refused = invoke(server.port)
        server.model.before_step = lambda step: None
        server.model.release()

        assert {running.result().status, waiting.result().status} == {200}
    assert refused.status == 503
    # Ten or eleven of 110 steps took more than 2 s, so the rest takes more than 18 s.
    assert 18 <= int(refused.headers["retry-after"]) <= 600


def tickets(*requests: dict[str, Any]) -> list[Ticket]:
    return [Ticket(payload(**changes)) for changes in requests]


def test_a_model_without_batching_gets_one_request_at_a_time(
    tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = tickets({}, {}, {})
    monkeypatch.setattr(type(tiny_model), "batch_key", lambda self, payload: None)

    assert take_batch(waiting, tiny_model, PassSizes(8)) == waiting[:1]


def test_the_oldest_request_is_taken_even_if_it_exceeds_a_pass(tiny_model: Model) -> None:
    waiting = tickets({"num_images_per_prompt": 8}, {})

    assert take_batch(waiting, tiny_model, PassSizes(4)) == waiting[:1]


def test_after_running_out_of_memory_passes_are_half_as_large(tiny_model: Model) -> None:
    key = batch_key(tickets({})[0], tiny_model)
    sizes = PassSizes(8)

    sizes.shrink(key, 6)

    assert (sizes.limit(key), sizes.limit("another size")) == (3, 8)
    sizes.shrink(key, 1)
    assert sizes.limit(key) == 1
    for other in range(100):
        sizes.shrink(other, 4)
    assert (sizes.limit(99), sizes.limit(key)) == (2, 8)


@pytest.mark.parametrize(
    ("count", "longest", "lengths"),
    [(1, 8, [1]), (8, 8, [8]), (5, 2, [1, 2, 2]), (8, 3, [2, 3, 3]), (3, 1, [1] * 3)],
)
def test_spans_cover_every_picture_once(count: int, longest: int, lengths: list[int]) -> None:
    cuts = spans(count, longest)

    assert [len(span) for span in cuts] == lengths
    assert [i for span in cuts for i in span] == list(range(count))


@pytest.mark.parametrize(
    ("counts", "at"),
    [([1, 1], 1), ([1, 1, 1, 1], 2), ([5, 1], 1), ([1, 5], 1), ([4, 1, 1, 1], 1), ([1, 1, 1], 1)],
)
def test_a_batch_is_halved_by_pictures(counts: list[int], at: int) -> None:
    assert halve(counts) == at


def test_a_part_of_a_request_keeps_its_seeds() -> None:
    whole = payload(seed=2**32 - 2, num_images_per_prompt=5)

    assert cut(whole, 0, 5) is whole
    assert cut(whole, 1, 3).seeds() == whole.seeds()[1:4]


def test_no_request_is_charged_for_answering_another(
    tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Member.add
    slow_s = 0.5

    def answer_slowly(member: Member, *drawn: Any) -> None:
        answer(member, *drawn)
        time.sleep(slow_s)

    monkeypatch.setattr(Member, "add", answer_slowly)
    tickets = [Ticket(payload(seed=seed)) for seed in (1, 2)]

    BatchRun(tiny_model, tickets, PassSizes(tiny_model.max_batch), time.monotonic()).run(ProgressReporter())

    first, second = (ticket.done.result() for ticket in tickets)
    assert first.batch_pictures == second.batch_pictures == 2
    assert second.gpu_s - first.gpu_s < slow_s / 10
