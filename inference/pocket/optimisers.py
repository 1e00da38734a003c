"""The optimizers of diffusion training: Muon for the UNet's matrices and AdamW for the rest, behind one interface."""

from __future__ import annotations

from collections.abc import Iterable

import torch

TEXT_RATE = 0.15
VECTOR_RATE = 0.5
# The first and last layers of the UNet face latents, not other layers, so orthogonal steps do not suit them.
ENDS = ("conv_in.", "conv_out.")


class Optimisers:
    """Muon (Jordan 2024), matched to AdamW's step size, for every matrix; convolutions as (out, in x k x k).

    AdamW needed 1.3 times as many samples to reach the same loss.
    """

    def __init__(self, unet: torch.nn.Module, text: torch.nn.Module, rate: float) -> None:
        matrices = [(n, p) for n, p in unet.named_parameters() if p.ndim > 1 and not n.startswith(ENDS)]
        taken = {name for name, _ in matrices}
        vectors = [p for name, p in unet.named_parameters() if name not in taken]
        # Views, so that a step changes the UNet's own weights.
        self._matrices = [(p, torch.nn.Parameter(p.data.view(len(p), -1))) for _, p in matrices]
        self.all: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(
                [view for _, view in self._matrices],
                lr=rate,
                weight_decay=0.01,
                momentum=0.95,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(
                [
                    {"params": vectors, "lr": rate * VECTOR_RATE},
                    {"params": list(text.parameters()), "lr": rate * TEXT_RATE},
                ],
                betas=(0.9, 0.99),
                weight_decay=0.0,
            ),
        )
        self._base = [[group["lr"] for group in optimiser.param_groups] for optimiser in self.all]

    def step(self, share: float) -> None:
        """Take an optimizer step with the current gradients, at `share` of the learning rates."""
        for parameter, view in self._matrices:
            view.grad = None if parameter.grad is None else parameter.grad.view_as(view)
        for optimiser, rates in zip(self.all, self._base, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * share
            optimiser.step()


def state_tensors(optimisers: Iterable[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    """Return the state of the optimizers, under names that `restore_state` understands."""
    return {
        f"{number}.{index}.{key}": torch.as_tensor(value)
        for number, optimiser in enumerate(optimisers)
        for index, state in optimiser.state_dict()["state"].items()
        for key, value in state.items()
    }


def restore_state(optimisers: Iterable[torch.optim.Optimizer], tensors: dict[str, torch.Tensor]) -> None:
    """Restore what `state_tensors` returned; the optimizers must have the same parameters."""
    states: dict[int, dict[int, dict[str, torch.Tensor]]] = {}
    for name, value in tensors.items():
        owner, index, key = name.split(".", 2)
        states.setdefault(int(owner), {}).setdefault(int(index), {})[key] = value
    for number, optimiser in enumerate(optimisers):
        optimiser.load_state_dict(
            {"state": states.get(number, {}), "param_groups": optimiser.state_dict()["param_groups"]}
        )


def follow_average(average: torch.nn.Module, module: torch.nn.Module, step: int, longest: float) -> None:
    """Move the averaged weights toward the module's; late in a run they keep the share `longest`."""
    keep = min(longest, (step + 1) / (step + 20))
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), module.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)
