"""Tests that hostile text in every field that a user can fill is displayed as plain text on every page."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import hostile_files as files
from tests.browser.conftest import heading, settled, sign_in
from tests.fields import file_fields, text_fields
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

# Short enough for names and tags: HTML, Markdown, LaTeX, a directive, and reordering and invisible characters.
HTML = "<img id=pwn src=//evil.example/a>"
MARKDOWN = "![x](http://evil.example/b)**b**"
LATEX = "$x^2$ :red[y] c\u202etxt\u200b"
ALL = f"{HTML} {MARKDOWN} {LATEX} <script>pwned=1</script> <a href=javascript:pwned=1>z</a> https://evil.example/c "
LONGEST = (ALL * 20)[:2000]
# A file name has no slash. Streamlit's uploader shows it unchanged, so it has no reordering characters.
FILE_NAME = "<img id=pwn src=x onerror=pwned=1>![x](evil.example)**b** $x^2$ :red[y]"

# Inspects the whole page, including components, except the values of fields.
LOOK = r"""() => {
  const found = [];
  const look = (root) => {
    for (const node of root.querySelectorAll("*")) {
      const where = node.tagName + " " + node.outerHTML.slice(0, 120);
      for (const name of ["src", "href", "srcset", "style", "action", "data", "poster"])
        if ((node.getAttribute(name) ?? "").match(/evil\.example|javascript:/)) found.push("leads away: " + where);
      if (node.id === "pwn" || node.matches(".katex, script:not([src])[type='']")) found.push("made: " + where);
      if (node.shadowRoot) look(node.shadowRoot);
      const field = node.matches("textarea, input, title");
      for (const child of node.childNodes)
        if (!field && child.nodeType === 3 && child.data.match(/[\u200b\u202e]/)) found.push("turned: " + where);
      for (const name of ["title", "alt", "aria-label"])
        if (!field && (node.getAttribute(name) ?? "").match(/[\u200b\u202e]/)) found.push("turned: " + where);
    }
  };
  look(document);
  if (window.pwned !== undefined) found.push("a script ran");
  return found;
}"""


class Watch:
    """Records every request of a browser, fills fields, and inspects pages."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.hosts: set[str] = set()
        self.seen: list[str] = []
        # Names as in tests/fields.py.
        self.typed: set[str] = set()
        page.context.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def type(self, field: str, place: Locator, text: str, *, press: str | None = None) -> None:
        """Replace the content of the field named `field` with `text`."""
        place.fill(text)
        if press is not None:
            place.press(press)
        self.typed.add(field)

    def give(self, field: str, place: Locator, content: bytes, *, ending: str = "png") -> None:
        """Upload a file with a hostile name to the uploader named `field`."""
        name = f"{FILE_NAME}.{ending}"
        place.set_input_files({"name": name, "mimeType": f"image/{ending}", "buffer": content})
        self.typed.add(field)

    def look(self, at: str, *shown: Locator | str) -> None:
        """Wait until all of `shown` is visible, then check that no text on the page was interpreted."""
        for what in shown:
            place = self.page.get_by_text(what) if isinstance(what, str) else what
            place.first.wait_for()
        found = self.page.evaluate(LOOK)
        assert found == [], f"{at}: {found}"
        self.seen.append(at)


def test_hostile_text_from_every_field_is_shown_as_plain_text(running: RunningStudio, page: Page) -> None:
    watch = Watch(page)
    # An admin, who has all pages of a maker and one more.
    sign_in(page, running.url, running.credentials["admin"])
    heading(page, "Create")
    _type_into_the_book(page, watch)
    _give_files(page, watch)
    _draw(page, watch)
    _name_pictures(page, watch)
    _make_albums(page, watch)
    _search_and_throw_away(page, watch)
    _make_a_key(page, watch)
    _find_in_history(page, watch)
    _ask_by_address(page, watch, running.url)
    page.goto(f"{running.url}/admin_costs")
    heading(page, "Costs")
    watch.look("the costs", page.get_by_test_id("stDataFrame"))

    # The local sign-in needs a studio without Cognito: tests/browser/test_gate.py.
    assert watch.typed == {
        field for field in text_fields() | file_fields() if not field.startswith("local_sign_in.")
    }
    assert len(watch.seen) == 35
    watch.hosts.discard("")  # data: and blob: URLs have no host
    assert watch.hosts <= {urlsplit(running.url).netloc, f"localhost:{running.ports()['cloud']}"}

    # Control: interpreted text is found.
    planted = "<b title=a\\u202eb>a\\u202eb</b><img id=pwn src=//evil.example/x>"
    page.evaluate(f"document.body.insertAdjacentHTML('beforeend', '{planted}')")
    assert [line.split(":")[0] for line in page.evaluate(LOOK)] == ["turned", "turned", "leads away", "made"]


def _type_into_the_book(page: Page, watch: Watch) -> None:
    page.get_by_role("button", name="Lists and templates").click()
    dialog = page.get_by_role("dialog")
    watch.type("prompt_book._editor: Name", dialog.get_by_label("Name"), HTML)
    watch.type("prompt_book._editor: kind.text", dialog.get_by_label("Entries, one per line"), ALL)
    dialog.get_by_role("button", name="Save").click()
    watch.look("a list's name is refused", dialog.get_by_role("alert"))
    dialog.get_by_label("Name").fill("hostile")
    dialog.get_by_role("button", name="Save").click()
    watch.look("a list", dialog.get_by_text("Saved 1 entr"))
    dialog.get_by_text("Templates", exact=True).click()
    dialog.get_by_label("Name").fill("hostile")
    dialog.get_by_role("textbox", name="Template").fill(f"{{prompt}} {ALL}")
    dialog.get_by_role("button", name="Save").click()
    watch.look("a template", dialog.get_by_text("Saved. Choose"))
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    form = page.locator(".st-key-generate_form")
    form.get_by_role("combobox", name="Template").click()
    page.get_by_role("option", name="hostile").click()
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("{red|blue} __hostile__")
    prompt.press("Tab")
    form.get_by_text("Preview 2 prompts").click()
    watch.look("the preview of two prompts", form.get_by_text("1. red <img"))
    page.goto(page.url)
    heading(page, "Create")


def _give_files(page: Page, watch: Watch) -> None:
    """Upload to each uploader a file of a wrong type, whose name is shown, and one that is accepted or refused."""
    recipe = files.png(
        {"parameters": f"{ALL}\nNegative prompt: {ALL}\nSteps: 9, Sampler: {LATEX}, Model: {MARKDOWN}"}
    )
    not_allowed = page.get_by_text("not allowed")
    for field, box, opened_by, content in (
        (
            "recall_drop.recall_drop: Drop a picture from Atelier, A1111, ComfyUI, InvokeAI, or SwarmUI",
            "recall_box",
            page.get_by_text("Settings from a picture"),
            recipe,
        ),
        (
            "source_picture._uploader: A PNG, JPEG or WebP picture",
            "source_box",
            page.get_by_text("Start from a picture"),
            files.png(size=(64, 64)),
        ),
        (
            "source_picture._part: A mask: white is redrawn, black is kept",
            "mask_file_box",
            page.get_by_role("button", name="From a file"),
            files.SVG,
        ),
    ):
        if box == "mask_file_box":
            settled(page)
            page.get_by_text("Paint a mask").click()
        opened_by.click()
        drop = page.locator(f".st-key-{box} input[type=file], [data-testid=stPopoverBody] input[type=file]")
        watch.give(field, drop.last, b"<svg/>", ending="svg")
        watch.look(f"a file of a wrong type at {box}", not_allowed)
        watch.give(field, drop.last, content)
        if box == "recall_box":
            watch.look(
                "settings from a file", page.locator(".st-key-recalled_prompt").get_by_text("<img id=pwn")
            )
            page.get_by_role("button", name="Close", exact=True).click()
        elif box == "source_box":
            watch.look("a picture to draw over", page.locator(".painter .picture"))
        else:
            watch.look("an invalid mask", page.get_by_text("The mask must be a PNG"))
    page.goto(page.url.partition("?")[0])
    heading(page, "Create")


def _draw(page: Page, watch: Watch) -> None:
    form = page.locator(".st-key-generate_form")
    watch.type("generate_form._texts: Prompt", page.get_by_label("Prompt", exact=True), LONGEST)
    form.get_by_text("Negative prompt", exact=True).first.click()
    watch.type(
        "generate_form._texts: Negative prompt", page.get_by_role("textbox", name="Negative prompt"), ALL
    )
    form.get_by_text("Draft", exact=True).click()
    page.locator(".st-key-g_count").get_by_text("2", exact=True).click()
    form.get_by_role("button", name="Generate").click()
    drawn = page.locator("[class*=st-key-drawn_]")
    watch.look("a drawn picture", drawn.get_by_text(HTML).or_(drawn.get_by_text("<img id=pwn")))
    form.get_by_role("button", name="Recent").click()
    rows = page.locator(".st-key-recent_rows")
    rows.get_by_role("button", name="Star it").first.click()
    watch.look("recent and starred prompts", rows.get_by_role("button", name="Remove the star"))
    page.keyboard.press("Escape")


def _name_pictures(page: Page, watch: Watch) -> None:
    page.get_by_role("link", name="Gallery").click()
    heading(page, "Gallery")
    tiles, dialog = page.locator(".tile .open"), page.get_by_role("dialog")
    for tile in (tiles.nth(0), tiles.nth(1)):
        tile.click(modifiers=["Control"])
    page.locator(".dock [data-act=compare]").click()
    watch.look("a comparison", page.get_by_role("slider"))
    page.get_by_role("button", name="Open left").click()
    tags = dialog.get_by_role("combobox", name="Tags")
    tags.fill(LATEX)
    tags.press("Enter")
    watch.look("a tag with reordering characters is refused", dialog.get_by_test_id("stAlert"))
    watch.type("picture_marks.show_marks: Tags", tags, HTML)
    watch.look("a tag that is offered", page.get_by_role("option"))
    tags.press("Enter")
    watch.look("the viewer", dialog.get_by_text("c⟨RLO⟩txt⟨ZWSP⟩"), dialog.get_by_text(HTML, exact=True))
    # The list of tags stays open and hides everything else from screen readers until the focus moves on.
    tags.press("Tab")
    dialog.get_by_role("button", name="Share").click()
    dialog.get_by_text("Include the prompt").click()
    dialog.get_by_role("button", name="Create link").click()
    address = dialog.get_by_test_id("stCode").filter(has_text="http").first.inner_text().strip()
    shared = page.context.new_page()
    seen_there = Watch(shared)
    shared.goto(address)
    seen_there.look("a shared picture", shared.get_by_text("<img id=pwn"))
    shared.goto(f"{address}/{quote(HTML)}")
    seen_there.look("a share's address", shared.get_by_text("This picture is not shared"))
    shared.close()
    watch.seen += seen_there.seen
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)

    # Both pictures are still selected.
    page.locator(".dock [data-act=label]").click()
    tags = dialog.get_by_role("combobox", name="Add tags")
    watch.type("picture_marks.ask_for_marks: Add tags", tags, MARKDOWN, press="Enter")
    watch.look("tags for several", dialog.get_by_text("![x]"))
    tags.press("Tab")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)


def _make_albums(page: Page, watch: Watch) -> None:
    dialog = page.get_by_role("dialog")
    page.locator(".dock [data-act=album]").click()
    name = dialog.get_by_role("combobox", name="Add to")
    name.fill(LATEX)
    name.press("Enter")
    dialog.get_by_role("button", name="Save").click()
    watch.look("an album name with reordering characters is refused", dialog.get_by_role("alert"))
    watch.type("album_shelf.ask_for_album: Add to", name, HTML, press="Enter")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    page.get_by_text("Albums", exact=True).first.click()
    page.get_by_role("button", name="New album").click()
    watch.type("album_shelf.show_new_album: Name", page.get_by_label("Name", exact=True), MARKDOWN)
    page.get_by_role("button", name="Create album").click()
    watch.look("the albums", page.get_by_text("![x](http://evil.example/b)"), page.get_by_text(HTML))
    page.get_by_text("![x](http://evil.example/b)").first.click()
    watch.look("an album", page.locator(".st-key-album_name").get_by_text("![x]"))
    page.get_by_role("button", name="Change").click()
    watch.type("album_shelf.show_album_head: Name", page.get_by_label("Name", exact=True), f"{HTML} $x^2$")
    page.get_by_role("button", name="Rename").click()
    watch.look("a renamed album", page.locator(".st-key-album_name").get_by_text(HTML))


def _search_and_throw_away(page: Page, watch: Watch) -> None:
    page.get_by_text("All", exact=True).first.click()
    page.get_by_role("button", name="Filters").click()
    for name, typed, shown in (("Tag", "evil.example/b", "![x]"), ("Album", "pwn", HTML)):
        choice = page.get_by_role("combobox", name=name)
        choice.fill(typed)
        watch.look(f"a filter by {name}", page.get_by_role("option").get_by_text(shown))
        choice.press("Enter")
        # Wait until the filter is applied: an Escape at the same moment may leave the popover open.
        page.locator("[class*=st-key-chip_]").get_by_text(shown).first.wait_for()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("stPopoverBody")).to_have_count(0)
    search = page.get_by_placeholder("Search prompts, tags, and models")
    watch.type("gallery_filters.show_filters: Search", search, LATEX, press="Enter")
    watch.look("a search", page.locator(".st-key-chip_gallery_text, [class*=st-key-chip_]"))
    page.get_by_role("button", name="Clear all").click()
    tiles = page.locator(".tile .open")
    expect(tiles).to_have_count(2)
    tiles.first.click(modifiers=["Control"])
    page.locator(".dock").get_by_role("button", name="Delete").click()
    expect(tiles).to_have_count(1)
    page.get_by_text("Trash", exact=True).click()
    # Until then the tile is the gallery's, and a click on it opens no deleted picture.
    page.get_by_text("30 days left").wait_for()
    tiles.first.click()
    watch.look("a picture in the trash", page.get_by_role("dialog").get_by_text("<img id=pwn"))
    page.keyboard.press("Escape")


def _make_a_key(page: Page, watch: Watch) -> None:
    page.get_by_role("link", name="Account").click()
    heading(page, "Account")
    watch.type("account.keys: Name of the new key", page.get_by_label("Name of the new key"), HTML)
    page.get_by_role("button", name="Create key").click()
    page.get_by_text("Copy it now").wait_for()
    page.keyboard.press("Escape")
    watch.look("the keys", page.locator("[class*=st-key-key_]").get_by_text(HTML))
    person = page.get_by_label("E-mail address or user ID")
    watch.type("revoke_access.revoke_access: E-mail address or user ID", person, HTML)
    page.get_by_role("button", name="Revoke access").click()
    watch.look("a person nobody knows", page.get_by_text("There is no user <"))


def _find_in_history(page: Page, watch: Watch) -> None:
    page.get_by_role("link", name="History").click()
    heading(page, "History")
    state = page.get_by_role("combobox", name="State")
    state.fill(HTML)
    watch.look("a filter of the history", page.get_by_text("No results"))
    state.fill("")
    # Wait for the list: an Escape at the same moment as the last edit would be followed by its reopening.
    choices = page.get_by_role("option")
    choices.first.wait_for()
    page.keyboard.press("Escape")
    expect(choices).to_have_count(0)
    table = page.locator("[data-testid=stDataFrame] canvas").first
    table.wait_for()
    box = table.bounding_box()
    assert box is not None
    # Click the checkbox of the first row by position: the table is a single canvas.
    page.mouse.click(box["x"] + 15, box["y"] + 55)
    watch.look("a job of the history", page.get_by_test_id("stText").get_by_text("<img id=pwn"))
    page.get_by_role("button", name="Delete everything").click()
    dialog = page.get_by_role("dialog")
    confirmed = "erase_all.ask_and_erase: Type **{words}** to confirm"
    watch.type(confirmed, dialog.get_by_role("textbox"), ALL, press="Enter")
    watch.look("the words that delete everything", dialog.get_by_text("Nothing was deleted."))
    page.keyboard.press("Escape")


def _ask_by_address(page: Page, watch: Watch, url: str) -> None:
    text = quote(ALL)
    page.goto(f"{url}/?job={text}&source={text}&mask={text}&fit={text}&picks={text}&image={text}")
    heading(page, "Create")
    watch.look("a URL", "no longer stored")
    names = ("q", "tag", "model", "album", "rating", "since", "until", "sort", "show", "after", "compare")
    page.goto(f"{url}/gallery?" + "&".join(f"{name}={text}" for name in names))
    heading(page, "Gallery")
    watch.look("a URL of the gallery", page.locator("[class*=st-key-chip_]"))
