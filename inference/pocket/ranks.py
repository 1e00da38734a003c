"""Several one-thread processes that train one model together, sharing gradients on this machine.

On a busy CPU two ranks of one thread each go faster than one process of two threads, which stalls whenever one of
its threads has to wait.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

# Long: ranks also wait for each other while the first one draws its contact sheet.
PATIENCE = timedelta(minutes=20)


def run_ranks(work: Callable[..., None], arguments: tuple[object, ...], ranks: int) -> None:
    """Call `work(rank, ranks, *arguments)` in every rank and wait; rank 0 of 1 runs in this process.

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
    # A file, not a port: nothing listens beyond what gloo needs between the ranks.
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=ranks, timeout=PATIENCE
    )
    try:
        work(rank, ranks, *arguments)
    finally:
        dist.destroy_process_group()


def share_gradients(parameters: Iterable[torch.nn.Parameter], ranks: int, *, stop: bool) -> bool:
    """Replace every gradient by its mean over the ranks, and return whether any rank asked to stop.

    In bfloat16, which halves what is exchanged; the mean itself is stored in float32.
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
