"""What is drawn in the measurements of the model server: the same requests for every contestant. No packages."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Request:
    """One picture, square, `side_px` a side; the fields' names are the contract's where it has them."""

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
    """Return the request of this seed. Every prompt is another one, so that no cache of texts helps anybody."""
    letters = "".join(chr(ord("a") + int(digit)) for digit in str(seed))
    return Request(seed, f"picture {letters}", side_px, steps, 4.0, scheduler)


def requests(round_number: int, count: int, *, side_px: int = 128) -> list[Request]:
    """Return the requests of a round; those of another round have other seeds."""
    return [request(round_number * 1000 + i, side_px=side_px) for i in range(count)]
