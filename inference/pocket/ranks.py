"""Several single-threaded processes that train one model together, sharing gradients on this machine.

On a busy CPU, two ranks with one thread each are faster than one process with two threads, which stalls whenever one of
its threads waits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

# Long enough for ranks to wait while the first one draws its contact sheet.
PATIENCE = timedelta(minutes=20)


def run_ranks(work: Callable[..., None], arguments: tuple[object, ...], ranks: int) -> None:
    """Call `work(rank, ranks, *arguments)` in every rank and wait; a single rank runs in this process.

    A rank that raises ends the others; its exception is raised here with its traceback.
    """
    if ranks == 1:
        work(0, 1, *arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting_point = str(Path(folder) / "ranks")
        start_processes(_join, (ranks, meeting_point, work, arguments), nprocs=ranks, start_method="spawn")  # type: ignore[no-untyped-call]


def _join(
    rank: int, ranks: int, meeting_point: str, work: Callable[..., None], arguments: tuple[object, ...]
) -> None:
    torch.set_num_threads(1)
    # A file instead of a port, so that nothing listens except gloo's connections between ranks.
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=ranks, timeout=PATIENCE
    )
    try:
        work(rank, ranks, *arguments)
    finally:
        dist.destroy_process_group()


def share_gradients(parameters: Iterable[torch.nn.Parameter], ranks: int, *, stop: bool) -> bool:
    """Replace every gradient by its mean over the ranks, and return whether any rank asked to stop.

    The exchange is in bfloat16, which halves its size; the mean is stored in float32.
    """
    if ranks == 1:
        return stop
    owners = [p for p in parameters if p.grad is not None]
    flat = torch.cat([p.grad.flatten() for p in owners if p.grad is not None])
    flat = torch.cat([flat, torch.tensor([float(stop)])]).bfloat16()
    dist.all_reduce(flat)
    start = 0
    for parameter in owners:
        grad = parameter.grad
        if grad is not None:
            grad.copy_(flat[start : start + grad.numel()].view_as(grad)).div_(ranks)
            start += grad.numel()
    return bool(flat[-1] > 0)
