"""The requests for the model server benchmarks, equal for all contestants. Uses no packages."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Request:
    """One square picture with sides of `side_px`; field names follow the contract where it has them."""

    seed: int
    prompt: str
    side_px: int
    num_inference_steps: int
    guidance_scale: float
    scheduler: str

    def payload(self) -> dict[str, object]:
        """Return it in the form of docs/contracts.md."""
        fields = asdict(self)
        side_px = fields.pop("side_px")
        return {
            **fields,
            "negative_prompt": "",
            "width": side_px,
            "height": side_px,
            "num_images_per_prompt": 1,
        }


def request(seed: int, *, side_px: int = 128, steps: int = 4, scheduler: str = "ddim") -> Request:
    """Return the request for this seed. Every prompt differs, so that no text cache helps any contestant."""
    letters = "".join(chr(ord("a") + int(digit)) for digit in str(seed))
    return Request(seed, f"picture {letters}", side_px, steps, 4.0, scheduler)


def requests(round_number: int, count: int, *, side_px: int = 128) -> list[Request]:
    """Return the requests of a round; other rounds have other seeds."""
    return [request(round_number * 1000 + i, side_px=side_px) for i in range(count)]
