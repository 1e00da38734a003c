"""The whole workflow in a real browser: sign in, draw, view, mark, download, delete, restore, sign out."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, WebSocketRoute, expect

from services.formats.png_metadata import read
from tests.browser.conftest import generate, heading, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


def test_from_sign_in_to_a_picture_starred_downloaded_deleted_and_out(
    running: RunningStudio, page: Page, tmp_path: Path
) -> None:
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    page.get_by_text("About").or_(page.get_by_text("Under")).first.wait_for()
    generate(page, "a red apple")
    page.wait_for_url("**job=*")
    # The studio is one for all files of tests: there may be older pictures, of other sizes.
    picture = page.locator(f".st-key-drawn_{page.url.partition('job=')[2]} .grid img")
    picture.or_(page.get_by_text("Nothing was charged.")).first.wait_for(timeout=90_000)
    expect(page.get_by_text("Nothing was charged.")).to_have_count(0)
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("image => image.naturalWidth") == 128

    page.get_by_role("link", name="Gallery").click()
    heading(page, "Gallery")
    tile = page.locator(".tile").first
    tile.hover()
    # One right after the other: what is clicked next must not take its effect from the star.
    tile.locator(".star").click()
    page.get_by_text("Favorites", exact=True).click()
    page.wait_for_url("**show=favorites")
    expect(page.locator(".tile")).to_have_count(1)
    expect(tile.locator(".star")).to_have_attribute("aria-pressed", "true")

    page.locator(".tile").first.hover()
    with page.expect_download() as download:
        page.locator(".tile a").first.click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.suffix == ".png"
    found = read(file.read_bytes())
    assert found.parameters is not None and found.parameters.prompt == "a red apple"
    assert found.a1111 is not None and found.a1111.fields["Seed"] == str(found.parameters.seed)

    page.locator(".tile .open").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(str(found.parameters.seed), exact=True).wait_for()
    # The seed is drawn before the buttons; the key works once its button, above this one, is there.
    dialog.get_by_role("button", name="Remix").wait_for()
    page.keyboard.press("4")
    expect(dialog.locator(".st-key-viewer_rate_keys")).to_be_hidden()
    page.keyboard.press("Delete")
    page.get_by_text("No favorites yet.").wait_for()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".tile .note")).to_have_text("★★★★")

    # Several at once: chosen by keyboard, deleted from the bar, erased in the trash.
    page.locator(".tile .open").first.focus()
    page.keyboard.press("Control+a")
    page.locator(".dock").get_by_role("button", name="Delete").click()
    page.get_by_text("No favorites yet.").wait_for()
    page.get_by_text("Trash", exact=True).click()
    expect(page.locator(".tile .note")).to_have_text("30 days left")
    assert "show=trash" in page.url
    page.reload()
    page.get_by_role("button", name="Empty the trash").click()
    page.get_by_role("dialog").get_by_role("button", name="Empty the trash").click()
    page.get_by_text("The trash is empty.").wait_for()

    asked = running.ask("POST", "/v1/jobs", {"prompt": "a rocket", "steps": 1, "count": 4}, Prefer="wait=60")
    assert asked["status"] == "succeeded"
    page.get_by_text("All", exact=True).click()
    tiles, chosen = page.locator(".tile"), page.locator(".tile[aria-selected=true]")
    tiles.nth(3).wait_for()
    tiles.nth(0).locator(".open").click(modifiers=["Control"])
    tiles.nth(2).locator(".open").click(modifiers=["Shift"])
    expect(page.locator(".dock .count")).to_have_text("3 selected")
    page.keyboard.press("Space")
    expect(chosen).to_have_count(2)
    page.keyboard.press("Shift+ArrowRight")
    expect(chosen).to_have_count(4)
    page.keyboard.press("Escape")
    expect(chosen).to_have_count(0)
    expect(page.locator(".dock")).to_be_hidden()
    expect(page.get_by_role("dialog")).to_have_count(0)

    page.locator(".st-key-icon_sign_out").get_by_role("button").first.click()
    page.get_by_role("button", name="Sign in").wait_for()
    page.goto(f"{running.url}/gallery")
    page.get_by_role("button", name="Sign in").wait_for()


def test_a_reload_and_a_second_window_find_the_running_job(
    running: RunningStudio, page: Page, context: BrowserContext
) -> None:
    running.wake_model()
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    page.get_by_text("Custom").click()
    for side in ("g_width", "g_height"):
        page.locator(f".st-key-{side} input").fill("96")
    page.get_by_text("Advanced").click()
    page.locator(".st-key-g_steps input").fill("50")
    page.locator(".st-key-g_count").get_by_text("4", exact=True).click()
    cancel = page.get_by_role("button", name="Cancel")
    with running.model_held():
        generate(page, "a rocket that takes its time")
        cancel.wait_for()
        assert "job=" in page.url
        page.reload()
        cancel.wait_for()
        expect(page.get_by_label("Prompt", exact=True)).to_have_value("a rocket that takes its time")
        second = context.new_page()
        second.goto(running.url)
        second.get_by_role("button", name="Cancel").click()
        second.get_by_text("Nothing was charged.").wait_for()
        page.get_by_text("Nothing was charged.").wait_for()


def test_the_page_asked_for_and_its_query_survive_the_sign_in(running: RunningStudio, page: Page) -> None:
    sign_in(page, f"{running.url}/history?from=mail", running.credentials["maker"])
    heading(page, "History")
    assert page.url == f"{running.url}/history?from=mail"


def test_an_open_page_survives_kill_9_of_the_studio_with_its_job_and_the_words_typed(
    running: RunningStudio, page: Page
) -> None:
    running.wake_model()
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    page.get_by_text("Fine").click()
    with running.model_held():
        generate(page, "a rocket in the storm")
        page.get_by_role("button", name="Cancel").wait_for()
        page.get_by_label("Prompt", exact=True).fill("not sent yet")
        page.get_by_label("Prompt", exact=True).blur()
        expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_have_count(1)
        before = running.processes()["studio"]
        assert running.kill_part("studio") == before
    drawn = page.locator("[class*=st-key-drawn_]").filter(has_text="a rocket in the storm")
    drawn.locator(".grid img").first.wait_for(timeout=120_000)
    assert running.processes()["studio"] != before
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("not sent yet")


def test_a_page_whose_first_request_after_a_restart_is_lost_still_shows_the_finished_job(
    running: RunningStudio, page: Page
) -> None:
    killed: list[bool] = []
    lost: list[bytes | str] = []

    def lose_first_request(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def forward(message: bytes | str) -> None:
            if killed and not lost:
                lost.append(message)
            else:
                server.send(message)

        socket.on_message(forward)

    page.route_web_socket("**/_stcore/stream", lose_first_request)
    running.wake_model()
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    with running.model_held():
        generate(page, "a lighthouse beyond the restart")
        page.get_by_role("button", name="Cancel").wait_for()
        killed.append(bool(running.kill_part("studio")))
    drawn = page.locator("[class*=st-key-drawn_]").filter(has_text="a lighthouse beyond the restart")
    drawn.locator(".grid img").first.wait_for(timeout=60_000)
    assert lost


def test_choosing_a_custom_size_leaves_advanced_open_and_says_what_is_out_of_bounds(
    running: RunningStudio, page: Page
) -> None:
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    page.get_by_text("Advanced").click()
    seed = page.locator(".st-key-g_seed input")
    expect(seed).to_be_visible()
    page.get_by_text("Custom").click()
    width = page.locator(".st-key-g_width input")
    width.fill("4096")
    width.press("Enter")
    page.get_by_text("The width is 4096 pixels").wait_for()
    expect(seed).to_be_visible()
    width.fill("96")
    width.press("Enter")
    expect(page.get_by_text("The width is")).to_have_count(0)
    seed.fill("-5")
    seed.press("Enter")
    page.get_by_text("The seed is -5").wait_for()
    page.get_by_label("Prompt", exact=True).fill("x" * 2001)
    page.keyboard.press("Control+Enter")
    page.get_by_text("The prompt has 2001 characters").wait_for()


def test_a_quick_look_at_another_page_loses_neither_the_words_nor_the_choices(
    running: RunningStudio, page: Page
) -> None:
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    prompt = page.get_by_label("Prompt", exact=True)
    for words in ("a lighthouse", "a mill", "a harbour"):
        prompt.fill(words)
        page.get_by_role("link", name="Gallery").click()
        page.get_by_role("link", name="Generate").click()
        page.get_by_role("link", name="Gallery").click()
        heading(page, "Gallery")
        page.get_by_role("link", name="Generate").click()
        heading(page, "Create")
        expect(prompt).to_have_value(words)
        for choice in ("g_size", "g_quality", "g_count"):
            expect(page.locator(f".st-key-{choice} [aria-checked=true]")).to_have_count(1)
    prompt.fill("")
    prompt.blur()
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    page.get_by_role("link", name="Gallery").click()
    heading(page, "Gallery")
    page.get_by_role("link", name="Generate").click()
    heading(page, "Create")
    expect(prompt).to_have_value("")


def test_everything_is_deleted_by_the_right_words_without_leaving_the_field_first(
    running: RunningStudio, page: Page
) -> None:
    sign_in(page, f"{running.url}/history", running.credentials["maker"])
    heading(page, "History")
    page.get_by_role("button", name="Delete everything").click()
    dialog = page.get_by_role("dialog")
    sure = dialog.get_by_role("button", name="Delete everything")
    sure.click()
    dialog.get_by_text("Nothing was deleted.").wait_for()
    dialog.get_by_role("textbox").fill("delete everything")
    sure.click()
    page.get_by_text("found nothing left").wait_for()
