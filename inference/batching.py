"""Which waiting requests are drawn together, and how requests and passes are split."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from inference.contract import MAX_SEED, Payload
from inference.pipelines.family import Model
from inference.tickets import Ticket

# Sizes and settings whose passes ran out of memory; the oldest are forgotten.
KEYS_REMEMBERED = 64
# Requests that are sent together arrive within milliseconds of each other. Waiting for them costs at most this part of
# what a pass usually takes.
ARRIVAL_SHARE, LONGEST_ARRIVAL_S = 0.01, 0.005
# Clients that send one request after the other come back within moments of their answers. Waiting for them costs at
# most this part of the pass before.
GATHER_SHARE, LONGEST_GATHER_S = 0.03, 0.05


class PassSizes:
    """The most pictures per pass: the model's limit, or less where memory ran out before."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._learned: dict[Hashable, int] = {}

    def limit(self, key: Hashable | None) -> int:
        """Return the most pictures for requests with this batch key."""
        return self._learned.get(key, self._most)

    def shrink(self, key: Hashable | None, pictures: int) -> None:
        """Record that a pass of this size did not fit; later ones begin with half."""
        # Without a key, nothing is known about similar requests.
        if key is None:
            return
        self._learned[key] = max(1, min(pictures, self._most) // 2)
        if len(self._learned) > KEYS_REMEMBERED:
            del self._learned[next(iter(self._learned))]


def batch_key(ticket: Ticket, model: Model) -> Hashable | None:
    """Return the model's batch key for the request, computed once."""
    if ticket.batch_key is None:
        ticket.batch_key = (model.batch_key(ticket.payload),)
    return ticket.batch_key[0]


def take_batch(waiting: Sequence[Ticket], model: Model, sizes: PassSizes) -> list[Ticket]:
    """Return the oldest request and every later one that fits into its pass.

    Greedy: nobody waits for it to be full. Fair: the oldest decides, and is taken whatever its size.
    """
    oldest, *later = waiting
    taken = [oldest]
    key = batch_key(oldest, model)
    if key is None:
        return taken
    room = sizes.limit(key) - oldest.payload.num_images_per_prompt
    for ticket in later:
        pictures = ticket.payload.num_images_per_prompt
        if pictures <= room and batch_key(ticket, model) == key:
            taken.append(ticket)
            room -= pictures
    return taken


def arrival_s(usual_s: float) -> float:
    """Return how long a pass waits for requests sent together with its first one; `usual_s` is a pass's usual
    duration.
    """
    return min(LONGEST_ARRIVAL_S, ARRIVAL_SHARE * usual_s)


def gather_s(pass_s: float) -> float:
    """Return the longest wait of the next pass, after one of `pass_s` seconds, for that pass's clients."""
    return min(LONGEST_GATHER_S, GATHER_SHARE * pass_s)


def cut(payload: Payload, first: int, count: int) -> Payload:
    """Return the request for pictures `first` to `first + count - 1` of `payload`: their seeds are the same."""
    if count == payload.num_images_per_prompt:
        return payload
    return payload.model_copy(
        update={"seed": (payload.seed + first) % (MAX_SEED + 1), "num_images_per_prompt": count}
    )


def spans(count: int, longest: int) -> list[range]:
    """Return the fewest ranges of equal length (give or take one) that cover `count` pictures, none over `longest`."""
    parts = -(-count // longest)
    ends = [count * (i + 1) // parts for i in range(parts)]
    return [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def halve(counts: Iterable[int]) -> int:
    """Return the index at which to split a list of sizes into two similar sums; from 1 to len - 1."""
    sizes = list(counts)
    half, before = sum(sizes) / 2, 0
    for i, size in enumerate(sizes):
        if i > 0 and before + size / 2 >= half:
            return i
        before += size
    return len(sizes) - 1
