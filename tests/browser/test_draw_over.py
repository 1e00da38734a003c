"""Tests of image-to-image and inpainting: an upload masked by mouse, keys, and pen; a gallery picture by touch."""

from __future__ import annotations

import io
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL import ImageChops, ImageDraw, ImageStat
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import TIMEOUT_MS, generate, heading, settled, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
# The real model, because kept and redrawn pixels are compared.
MODEL = "pocket"

# The kept area does not pass through the autoencoder: only the soft edge of the mask and rounding differ.
TOLERANCE = 1.0
# Undo redraws a stroke in one piece, with slightly different soft edges than while the mouse moved.
EDGES = 0.002


def photograph() -> bytes:
    """Return a wide JPEG with a GPS location: red on the left, green on the right."""
    picture = Pillow.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((60, 120, 300, 360), fill="#c33")
    draw.rectangle((380, 120, 580, 360), fill="#385")
    exif = Pillow.Exif()
    exif[0x8825] = {1: "N", 2: (47.0, 22.0, 36.0)}
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=95, exif=exif)
    return target.getvalue()


def stroke(page: Page, canvas: Locator, *points: tuple[float, float]) -> None:
    """Drag the mouse through points given as fractions of the canvas."""
    canvas.evaluate("canvas => canvas.scrollIntoView({block: 'center'})")
    box = canvas.bounding_box()
    assert box is not None
    for number, (across, down) in enumerate(points):
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"], steps=6)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def painted(canvas: Locator) -> float:
    """Return the painted fraction of the canvas."""
    share: float = canvas.evaluate(
        """canvas => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
          let found = 0
          for (let at = 3; at < data.length; at += 4) found += data[at] >= 128
          return (4 * found) / data.length
        }"""
    )
    return share


def wait_painted(page: Page, canvas: Locator) -> None:
    """Wait until a stored mask is loaded into the canvas."""
    canvas.wait_for()
    for _ in range(100):
        if painted(canvas):
            return
        page.wait_for_timeout(100)
    raise AssertionError("no mask was loaded")


def fetched(address: str) -> Pillow.Image:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return Pillow.open(io.BytesIO(answer.read())).convert("RGB")


def difference(left: Pillow.Image, right: Pillow.Image, box: tuple[int, int, int, int]) -> float:
    """Return the mean difference inside `box`, on a scale of 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(left.crop(box), right.crop(box))).mean) / 3


def finished(page: Page, running: RunningStudio) -> Any:
    """Wait for the job in the page's URL to end and return it."""
    page.wait_for_url("**job=*")
    job_id = page.url.partition("job=")[2].partition("&")[0]
    return running.wait_for_job(job_id, "succeeded", "failed")


def test_an_upload_is_redrawn_only_under_the_painted_mask_and_both_survive_a_reload(
    running: RunningStudio, page: Page, tmp_path: Path
) -> None:
    file = tmp_path / "photograph.jpg"
    file.write_bytes(photograph())
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    page.get_by_text("Start from a picture").click()
    page.locator(".st-key-source_box input[type=file]").set_input_files(file)
    picture, canvas = page.locator(".painter .picture"), page.locator(".painter canvas.mask")
    picture.wait_for()
    expect(picture).to_have_js_property("naturalWidth", 640)
    expect(page.locator(".painter .frame")).to_be_visible()
    expect(page.get_by_text("is cropped")).to_be_visible()
    page.get_by_text("Paint a mask").click()
    page.get_by_text("Nothing is painted yet").wait_for()
    page.get_by_role("button", name="Generate").click()
    page.get_by_text("The prompt is empty").or_(page.get_by_text("Nothing is painted yet")).first.wait_for()

    # Paint over the right half of the crop, then test every undoable action by button and by key.
    stroke(page, canvas, (0.75, 0.05), (0.75, 0.95), (0.68, 0.95), (0.68, 0.05))
    page.wait_for_url("**mask=*")
    first = painted(canvas)
    assert 0.1 < first < 0.4
    page.keyboard.press("i")
    assert painted(canvas) == pytest.approx(1 - first, abs=0.02)
    page.keyboard.press("Control+z")
    assert painted(canvas) == pytest.approx(first, abs=EDGES)
    page.keyboard.press("Delete")
    assert painted(canvas) == 0
    page.get_by_role("button", name="Undo").click()
    assert painted(canvas) == pytest.approx(first, abs=EDGES)
    canvas.focus()
    size = page.locator(".painter .size")
    before = float(size.input_value())
    page.keyboard.press("]")
    assert float(size.input_value()) == before + 1
    page.keyboard.press("e")
    expect(page.get_by_role("button", name="Eraser")).to_have_attribute("aria-pressed", "true")
    for key in ("ArrowRight", "Shift+ArrowRight", "Space"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Undo").click()
    assert painted(canvas) == pytest.approx(first, abs=EDGES)
    _paint_while_the_studio_answers(page, canvas, first)
    _paint_with_a_pen(page, canvas, first)
    settled(page)
    page.wait_for_url("**mask=*")

    page.reload()
    picture.wait_for()
    expect(picture).to_have_js_property("naturalWidth", 640)
    wait_painted(page, canvas)
    assert painted(canvas) == pytest.approx(first, abs=0.02)
    source = page.url.partition("source=")[2].partition("&")[0]
    page.locator(".st-key-g_strength input").focus()
    page.keyboard.press("End")
    page.get_by_text("draws 12 of 12 steps").wait_for()
    page.get_by_label("Prompt", exact=True).fill("a rocket")
    page.keyboard.press("Control+Enter")
    job = finished(page, running)
    assert (job["status"], job["input"]["task"]) == ("succeeded", "inpainting"), job["error"]
    assert source in page.url

    wanted = Pillow.open(io.BytesIO(photograph())).crop((80, 0, 560, 480))
    wanted = wanted.resize((128, 128), Pillow.Resampling.LANCZOS)
    drawn = fetched(job["output"][0]["url"])
    kept, redrawn = (0, 0, 64, 128), (76, 8, 106, 120)
    assert difference(wanted, drawn, kept) <= TOLERANCE
    assert difference(wanted, drawn, redrawn) > 10


def _paint_while_the_studio_answers(page: Page, canvas: Locator, first: float) -> None:
    """Check that the response to the previous stroke does not change a stroke in progress."""
    page.get_by_role("button", name="Brush").click()
    stroke(page, canvas, (0.3, 0.1), (0.3, 0.15))
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.35 * box["width"], box["y"] + 0.4 * box["height"], steps=3)
    settled(page)
    begun = painted(canvas)
    page.mouse.move(box["x"] + 0.35 * box["width"], box["y"] + 0.8 * box["height"], steps=6)
    page.mouse.up()
    assert painted(canvas) > begun + 0.02 > first + 0.02
    page.get_by_role("button", name="Undo").click()
    assert first < painted(canvas) < begun
    page.get_by_role("button", name="Undo").click()
    assert painted(canvas) == pytest.approx(first, abs=EDGES)


def _paint_with_a_pen(page: Page, canvas: Locator, first: float) -> None:
    """Check that a pen's tip paints and its other end erases."""
    box = canvas.bounding_box()
    assert box is not None
    pen = page.context.new_cdp_session(page)
    x, y = box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"]
    for kind, down in (("mousePressed", 0), ("mouseMoved", 30), ("mouseMoved", 60), ("mouseReleased", 60)):
        event = {"type": kind, "x": x, "y": y + down, "button": "left", "buttons": 1, "pointerType": "pen"}
        pen.send("Input.dispatchMouseEvent", event)
    drawn = painted(canvas)
    assert drawn > first + 0.005
    # The DevTools protocol does not support the eraser button, so the events are created in the page.
    canvas.evaluate(
        """(canvas, [x, y]) => {
          for (const [kind, down] of [["down", 0], ["move", 40], ["move", 80], ["up", 80]])
            canvas.dispatchEvent(new PointerEvent("pointer" + kind, {
              pointerId: 1, pointerType: "pen", isPrimary: true, button: kind === "move" ? -1 : 5, buttons: 32,
              clientX: x, clientY: y + down, bubbles: true,
            }))
        }""",
        [x, y],
    )
    assert painted(canvas) < drawn - 0.005
    for _ in range(2):
        page.get_by_role("button", name="Undo").click()
    assert painted(canvas) == pytest.approx(first, abs=EDGES)


def test_a_gallery_picture_is_masked_by_touch_on_a_phone(running: RunningStudio, chromium: Browser) -> None:
    earlier = running.ask("POST", "/v1/jobs", {"prompt": "a red apple", "steps": 8}, Prefer="wait=60")
    earlier = running.wait_for_job(earlier["id"], "succeeded")
    context = chromium.new_context(viewport={"width": 320, "height": 700}, has_touch=True, is_mobile=True)
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    image = earlier["output"][0]
    sign_in(page, f"{running.url}/gallery?image={image['id']}", running.credentials["maker"])
    page.get_by_role("dialog").get_by_role("button", name="Draw over").tap()
    heading(page, "Create")
    picture, canvas = page.locator(".painter .picture"), page.locator(".painter canvas.mask")
    picture.wait_for()
    assert f"source={image['id']}" in page.url
    # The model supports the picture's size, so it is not cropped and "Use its size" is not offered.
    expect(page.locator(".painter .frame")).to_be_hidden()
    expect(page.get_by_role("button", name="Use its size")).to_have_count(0)
    page.get_by_text("Paint a mask").tap()
    canvas.wait_for()
    canvas.evaluate("canvas => canvas.scrollIntoView({block: 'center'})")
    box = canvas.bounding_box()
    assert box is not None
    scrolled = page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop")
    touch = context.new_cdp_session(page)
    path = [
        (box["x"] + 0.8 * box["width"], box["y"] + share * box["height"]) for share in (0.1, 0.4, 0.7, 0.9)
    ]
    for kind, (across, down) in zip(("touchStart", *["touchMove"] * 3), path, strict=True):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": across, "y": down}]})
        if kind == "touchStart":
            # A second touch, such as the palm, neither paints nor ends the first one's stroke.
            canvas.evaluate(
                """canvas => {
                  for (const kind of ["down", "move", "up"])
                    canvas.dispatchEvent(new PointerEvent("pointer" + kind, {
                      pointerId: 99, pointerType: "touch", isPrimary: false, clientX: 20, clientY: 20, bubbles: true,
                    }))
                }"""
            )
            begun = painted(canvas)
    assert painted(canvas) > begun + 0.02
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_url("**mask=*")
    assert 0.02 < painted(canvas) < 0.4
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") == scrolled
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    for tool in page.locator(".painter .tool").all():
        frame = tool.bounding_box()
        assert frame is not None and min(frame["width"], frame["height"]) >= 44
    generate(page, "a rocket")
    job = finished(page, running)
    assert (job["status"], job["input"]["task"]) == ("succeeded", "inpainting"), job["error"]
    source, drawn = fetched(image["url"]), fetched(job["output"][0]["url"])
    assert difference(source, drawn, (0, 0, 76, 128)) <= TOLERANCE
    assert difference(source, drawn, (96, 16, 108, 112)) > 3

    # "Use all" restores the source picture and the mask too.
    page.goto(f"{running.url}/gallery?image={job['output'][0]['id']}")
    page.get_by_role("dialog").get_by_role("button", name="Use all").tap()
    heading(page, "Create")
    page.wait_for_url(f"**source={job['id']}*mask={job['id']}*")
    wait_painted(page, canvas)
    assert 0.02 < painted(canvas) < 0.4
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a rocket")
    context.close()
