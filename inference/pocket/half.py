"""Training in bfloat16: a working copy computes, and the float32 weights are updated with its gradients."""

from __future__ import annotations

import copy
from typing import Any

import torch


class HalfCopy:
    """A copy of a module in `dtype`. The module keeps float32 weights, because small steps would vanish in bfloat16.

    Autocast would convert every weight in every call, and it leaves norms and sums between conversions in float32.
    Measured with pocket's UNet on a CPU with bfloat16 arithmetic, the copy processes 1.7 times as many samples a second
    as float32; autocast is slower than float32.
    """

    def __init__(self, module: torch.nn.Module, dtype: torch.dtype) -> None:
        # `Any`, because it is called with the module's own arguments.
        self.working: Any = copy.deepcopy(module).to(dtype)
        self._pairs = list(zip(self.working.parameters(), module.parameters(), strict=True))

    def hand_over_gradients(self) -> None:
        """Move the copy's gradients to the float32 weights."""
        for half, full in self._pairs:
            full.grad = None if half.grad is None else half.grad.to(full.dtype)
            half.grad = None

    def follow(self) -> None:
        """Copy the current float32 weights into the working copy."""
        with torch.no_grad():
            for half, full in self._pairs:
                half.copy_(full)


class PlainAttention:
    """Attention as two matrix products, for `UNet2DConditionModel.set_attn_processor`.

    For 64 positions and 20 words, the backward pass of the fused kernel is slower on a CPU: 36 against 46 samples a
    second.
    """

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        **_ignored: object,
    ) -> torch.Tensor:
        """Return (batch, positions, channels): attention to the words, or self-attention without them."""
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states

        def split(values: torch.Tensor) -> torch.Tensor:
            return values.view(*values.shape[:2], attn.heads, -1).transpose(1, 2)

        query, key, value = (
            split(attn.to_q(hidden_states)),
            split(attn.to_k(source)),
            split(attn.to_v(source)),
        )
        shares = (query * attn.scale @ key.transpose(-1, -2)).softmax(-1)
        mixed: torch.Tensor = attn.to_out[0]((shares @ value).transpose(1, 2).flatten(2))
        return mixed


def half_type(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the device computes in it natively, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32
