"""The catalogue of texts: what is found in the code, what is written, and what is called a problem."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import texts
from tools.unmarked import glued, unmarked

HEADER = (
    'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n'
)
PAGE = """
st.title(tr("Gallery"))
st.caption(f"**{tr_n('{count} picture', '{count} pictures', 3)}**")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small one, with one page, one script, one service and one language."""
    files = {
        "services/errors.py": "class StudioError(Exception): ...\nclass NotFound(StudioError): ...\n",
        "services/albums.py": 'def get():\n    raise NotFound("There is no such album.")\n',
        "app/pages/gallery.py": PAGE,
        "app/components/grid.js": 'function f() { return say("Open {name}", { name }) }\n',
        "services/catalogue/cards.toml": '[a]\nname = "A"\ndescription = "Fast."\nqualities = { fine = 9 }\n',
        "services/rules.toml": '[[rule]]\nid = "r"\ncategory = "gore"\nabout = "cruelty"\nterms = ["x"]\n',
        "app/api/jobs.py": 'tr("English for programs")\n',
        "app/i18n/locale/de.po": HEADER,
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def translate(project: Path, **said: str) -> None:
    """Puts translations into what `update` has written, by the first word of the text."""
    file = project / "app/i18n/locale/de.po"
    content = file.read_text()
    for first, german in said.items():
        head, _, tail = content.partition(f'msgid "{first}')
        assert tail, f"no text begins with {first}"
        content = head + f'msgid "{first}' + tail.replace('msgstr ""', f'msgstr "{german}"', 1)
    file.write_text(content)


def test_texts_are_found_in_pages_scripts_errors_and_tables_and_not_in_the_api(project: Path) -> None:
    assert set(texts.said(project)) == {
        "Gallery",
        ("{count} picture", "{count} pictures"),
        "Open {name}",
        "There is no such album.",
        "Fast.",
        "Fine",
        "cruelty",
        "gore",
    }


def test_a_catalogue_is_whole_when_everything_is_translated_and_nothing_is_left_over(project: Path) -> None:
    assert len(texts.problems(project)) == 8
    texts.update(project)
    assert {problem.split(": ")[1] for problem in texts.problems(project)} == {"not translated"}
    translate(project, Gallery="Galerie", Open="Öffne {name}", There="Dieses Album gibt es nicht.")
    translate(project, Fast="Schnell.", Fine="Fein", cruelty="Grausamkeit", gore="Grausames")
    file = project / "app/i18n/locale/de.po"
    plural = 'msgstr[0] ""\nmsgstr[1] ""'
    assert plural in file.read_text()
    file.write_text(file.read_text().replace(plural, 'msgstr[0] "ein Bild"\nmsgstr[1] "{count} Bilder"'))
    assert texts.problems(project) == []
    before = file.read_text()
    texts.update(project)
    assert file.read_text() == before

    (project / "app/pages/gallery.py").write_text('st.title(tr("Pictures"))\n')
    assert [problem.split(": ")[1] for problem in texts.problems(project)] == [
        "not there",
        "said no more",
        "said no more",
    ]


def test_a_name_that_is_lost_in_translation_is_a_problem(project: Path) -> None:
    texts.update(project)
    translate(project, Open="Öffne {nmae}")
    assert any("['name', 'nmae'] differ" in problem for problem in texts.problems(project))


@pytest.mark.parametrize(
    "line",
    [
        'st.button("Save")',
        'column.text_input(tr("Name"), placeholder="What will use it?")',
        'st.caption(f"{count} pictures")',
        'WORDS = "Nothing has been drawn yet."',
        'say_nothing("icon", "No albums yet. Make one.")',
    ],
)
def test_texts_that_bypass_the_catalog_are_found(project: Path, line: str) -> None:
    (project / "app/pages/gallery.py").write_text(f'"""A page of pictures."""\n{line}\n')
    [found] = unmarked(project)
    assert found.startswith("app/pages/gallery.py:2: not marked")


@pytest.mark.parametrize(
    "line",
    [
        'st.button(tr("Save"), icon=":material/save:", key="save_all")',
        'st.markdown(f":red[:material/error: {words}]")',
        'event("page_failed", reason="No such page was found.")',
        'st.html("<div class=note></div>")',
        'raise RuntimeError("This cannot happen here.")',
    ],
)
def test_marked_and_wordless_texts_are_ignored(project: Path, line: str) -> None:
    (project / "app/pages/gallery.py").write_text(f'"""A page of pictures."""\n{line}\n')
    assert unmarked(project) == []


def test_an_errors_sentence_that_is_put_together_is_found() -> None:
    source = (
        'raise NotFound(f"There is no {name}.")\nraise NotFound(sentence("There is no {name}.", name=name))\n'
    )
    assert glued(source, ("NotFound",)) == [(1, "f'There is no {name}.'")]
