"""Text that would be interpreted, typed into every field a user can fill and shown on every page that shows it."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import heading, sign_in
from tests.running import RunningStudio

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

# Short enough for names and tags: HTML, markdown, LaTeX, a directive, and characters that turn and hide text.
HTML = "<img id=pwn src=//evil.example/a>"
MARKDOWN = "![x](http://evil.example/b)**b**"
LATEX = "$x^2$ :red[y] c\u202etxt\u200b"
ALL = f"{HTML} {MARKDOWN} {LATEX} <script>pwned=1</script> <a href=javascript:pwned=1>z</a> https://evil.example/c "
LONGEST = (ALL * 20)[:2000]

# Everything on the page, the insides of components too, but for what fields hold as their value.
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
    }
  };
  look(document);
  if (window.pwned !== undefined) found.push("a script ran");
  return found;
}"""


class Watch:
    """Sees every request of a browser window, and looks through its pages."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.hosts: set[str] = set()
        self.seen: list[str] = []
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def look(self, at: str, *shown: Locator | str) -> None:
        """Waits until all of `shown` is to be seen, then checks that nothing on the page was interpreted."""
        for what in shown:
            place = self.page.get_by_text(what) if isinstance(what, str) else what
            place.first.wait_for()
        assert self.page.evaluate(LOOK) == [], at
        self.seen.append(at)


def test_hostile_text_is_shown_as_it_was_typed_wherever_it_can_be_typed(
    running: RunningStudio, page: Page
) -> None:
    watch = Watch(page)
    sign_in(page, running.url, running.credentials["maker"])
    heading(page, "Create")
    _type_into_the_book(page, watch)
    _draw(page, watch)
    _name_pictures(page, watch)
    _make_a_key(page, watch)
    _find_in_history(page, watch)

    page.goto(f"{running.url}/?job=%3Cimg%20id=pwn%3E&source={HTML}")
    heading(page, "Create")
    watch.look("an address")
    assert len(watch.seen) == 13
    watch.hosts.discard("")  # data: and blob: addresses have none
    assert watch.hosts <= {urlsplit(running.url).netloc, f"localhost:{running.ports()['cloud']}"}

    # And it would see what is interpreted.
    page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<b>a\\u202eb</b><img id=pwn src=//evil.example/x>')"
    )
    assert [line.split(":")[0] for line in page.evaluate(LOOK)] == ["turned", "leads away", "made"]


def _type_into_the_book(page: Page, watch: Watch) -> None:
    page.get_by_role("button", name="Lists and templates").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(HTML)
    dialog.get_by_label("Entries, one a line").fill(ALL)
    dialog.get_by_role("button", name="Save").click()
    watch.look("a list's name is refused", dialog.get_by_role("alert"))
    dialog.get_by_label("Name").fill("hostile")
    dialog.get_by_role("button", name="Save").click()
    watch.look("a list", dialog.get_by_text("Saved 1 entr"))
    dialog.get_by_text("Templates", exact=True).click()
    dialog.get_by_label("Name").fill("hostile")
    dialog.get_by_role("textbox", name="Template").fill(f"{{prompt}} {ALL}")
    dialog.get_by_role("button", name="Save").click()
    watch.look("a template", dialog.get_by_text("Saved: choose"))
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


def _draw(page: Page, watch: Watch) -> None:
    form = page.locator(".st-key-generate_form")
    page.get_by_label("Prompt", exact=True).fill(LONGEST)
    form.get_by_text("Negative prompt", exact=True).first.click()
    page.get_by_role("textbox", name="Negative prompt").fill(ALL)
    form.get_by_text("Draft", exact=True).click()
    form.get_by_role("button", name="Generate").click()
    drawn = page.locator("[class*=st-key-drawn_]")
    watch.look("a drawn picture", drawn.get_by_text(HTML).or_(drawn.get_by_text("<img id=pwn")))
    form.get_by_role("button", name="Recent").click()
    rows = page.locator(".st-key-recent_rows")
    rows.get_by_role("button", name="Star it").first.click()
    watch.look("recent and starred prompts", rows.get_by_role("button", name="Take the star away"))
    page.keyboard.press("Escape")


def _name_pictures(page: Page, watch: Watch) -> None:
    page.get_by_role("link", name="Gallery").click()
    heading(page, "Gallery")
    page.locator(".tile .open").first.click()
    dialog = page.get_by_role("dialog")
    tags = dialog.get_by_role("combobox", name="Tags")
    tags.fill(LATEX)
    tags.press("Enter")
    tags.fill(HTML)
    tags.press("Enter")
    watch.look("the viewer", dialog.get_by_text("c⟨RLO⟩txt⟨ZWSP⟩"), dialog.get_by_text("<img id=pwn"))
    # The list of tags stays open, and hides all else from screen readers, until one goes on.
    tags.press("Tab")
    dialog.get_by_role("button", name="Share").click()
    dialog.get_by_text("Show the prompt as well").click()
    dialog.get_by_role("button", name="Make a link").click()
    address = dialog.get_by_test_id("stCode").filter(has_text="http").first.inner_text().strip()
    shared = page.context.new_page()
    seen_there = Watch(shared)
    shared.goto(address)
    seen_there.look("a shared picture", shared.get_by_text("<img id=pwn"))
    shared.close()
    watch.hosts |= seen_there.hosts
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.get_by_text("Albums", exact=True).first.click()
    page.get_by_role("button", name="New album").click()
    page.get_by_label("Name", exact=True).fill(MARKDOWN)
    page.get_by_role("button", name="Make it").click()
    watch.look("the albums", page.get_by_text("![x](http://evil.example/b)"))
    page.get_by_text("![x](http://evil.example/b)").first.click()
    watch.look("an album", page.locator(".st-key-album_name").get_by_text("![x]"))
    page.get_by_text("All", exact=True).first.click()
    search = page.get_by_placeholder("Search prompts, tags and models")
    search.fill(LATEX)
    search.press("Enter")
    watch.look("a search", page.locator(".st-key-chip_gallery_text, [class*=st-key-chip_]"))


def _make_a_key(page: Page, watch: Watch) -> None:
    page.get_by_role("link", name="Account").click()
    heading(page, "Account")
    page.get_by_label("Name of a new key").fill(HTML)
    page.get_by_role("button", name="Create key").click()
    page.get_by_text("Copy it now").wait_for()
    page.keyboard.press("Escape")
    watch.look("the keys", page.locator("[class*=st-key-key_]").get_by_text(HTML))


def _find_in_history(page: Page, watch: Watch) -> None:
    page.get_by_role("link", name="History").click()
    heading(page, "History")
    table = page.locator("[data-testid=stDataFrame] canvas").first
    table.wait_for()
    box = table.bounding_box()
    assert box is not None
    # The first row's tick; the table is one canvas below a layer of its own.
    page.mouse.click(box["x"] + 15, box["y"] + 55)
    watch.look("a job of the history", page.get_by_test_id("stText").get_by_text("<img id=pwn"))
