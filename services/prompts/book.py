"""A maker's stored prompt texts: lists for `__name__`, templates, starred prompts, and recent prompts.

Texts are stored as typed into the form, including alternatives.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NoReturn

from services.clock import now
from services.errors import Conflict, InvalidRequest, LimitReached
from services.logs import event
from services.prompts.syntax import LIST_NAME, MAX_CHARACTERS, check_template, escape
from services.records import User
from services.sentences import sentence, subject
from services.store.jobs import JobStore
from services.store.prompt_texts import PromptList, PromptTemplate, PromptTextStore, Star

__all__ = ["PromptBook", "PromptList", "PromptTemplate"]

MAX_NAME = 40
MAX_LISTS = 100
MAX_ENTRIES = 200
MAX_ENTRY_CHARACTERS = 200
MAX_TEMPLATES = 100
MAX_TEMPLATE_CHARACTERS = 1000
MAX_STARS = 100
RECENT = 20
# Number of newest jobs read for the recent prompts; one call.
LOOKED_THROUGH = 100
_NAME = re.compile(LIST_NAME)
# White space, and what other programs leave at the ends of a line without showing it: byte-order marks, zero-width
# spaces, marks of direction. Joiners within a line belong to its letters and emoji.
_UNSEEN = r"[\s\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]+"
_UNSEEN_ENDS = re.compile(rf"^{_UNSEEN}|{_UNSEEN}$")


class PromptBook:
    """The lists, templates and stars of all users; each method accesses only its user's own."""

    def __init__(self, texts: PromptTextStore, jobs: JobStore) -> None:
        self._texts = texts
        self._jobs = jobs

    def lists(self, user: User) -> tuple[PromptList, ...]:
        """Return the user's lists by name, with entries. One AWS call, more when they exceed a megabyte."""
        return self._texts.lists(user.id)

    def entries(self, user: User, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the entries of the named lists that exist. One AWS call per hundred names, none without names."""
        found = self._texts.some_lists(user.id, [name for name in names if _is_name(name)])
        return {each.name: each.entries for each in found}

    def save_list(self, user: User, name: str, text: str, *, new: bool) -> PromptList:
        """Stores the lines of `text` as a list, replacing the list of that name unless `new`.

        Drops empty and repeated lines, and comments: lines that begin with `#`. One AWS call, two more for a new list.
        Raises InvalidRequest (param "name" or "entries"), Conflict when a new list's name is taken, LimitReached at a
        hundred lists.
        """
        _check_name(name)
        made = PromptList(name=name, entries=_entries(text))
        if not new:
            self._texts.save(user.id, made)
        elif len(self.lists(user)) >= MAX_LISTS:
            raise LimitReached(
                sentence("You have {count} lists, the most. Delete one first.", count=MAX_LISTS),
                code="too_many_lists",
            )
        elif not self._texts.add(user.id, made):
            raise Conflict(sentence("There is a list of that name. Choose it to change it."))
        event("prompt_text_kept", user=user.id, what="list")
        return made

    def delete_list(self, user: User, name: str) -> None:
        """Deletes a list; ignores an unknown name. One AWS call."""
        if _is_name(name):
            self._texts.remove_list(user.id, name)
            event("prompt_text_dropped", user=user.id, what="list")

    def templates(self, user: User) -> tuple[PromptTemplate, ...]:
        """Return the user's templates by name. One AWS call."""
        return self._texts.templates(user.id)

    def save_template(self, user: User, name: str, text: str, *, new: bool) -> PromptTemplate:
        """Stores a template, replacing the one of that name unless `new`. One AWS call, two more for a new one.

        Raises InvalidRequest (param "name" or "template": exactly one `{prompt}` is needed), Conflict, LimitReached.
        """
        _check_name(name)
        text = text.strip()
        if len(text) > MAX_TEMPLATE_CHARACTERS:
            _refuse(
                "template",
                sentence(
                    "The template has {count} characters; at most {most} are possible.",
                    count=len(text),
                    most=MAX_TEMPLATE_CHARACTERS,
                ),
            )
        _check_characters("template", subject("template"), text, also="\n")
        check_template(text)
        made = PromptTemplate(name=name, text=text)
        if not new:
            self._texts.save(user.id, made)
        elif len(self.templates(user)) >= MAX_TEMPLATES:
            raise LimitReached(
                sentence("You have {count} templates, the most. Delete one first.", count=MAX_TEMPLATES),
                code="too_many_templates",
            )
        elif not self._texts.add(user.id, made):
            raise Conflict(sentence("There is a template of that name. Choose it to change it."))
        event("prompt_text_kept", user=user.id, what="template")
        return made

    def delete_template(self, user: User, name: str) -> None:
        """Deletes a template; ignores an unknown name. One AWS call."""
        if _is_name(name):
            self._texts.remove_template(user.id, name)
            event("prompt_text_dropped", user=user.id, what="template")

    def stars(self, user: User) -> tuple[str, ...]:
        """Return the user's starred prompts, latest first. One AWS call."""
        latest_first = sorted(self._texts.stars(user.id), key=lambda star: star.starred_at, reverse=True)
        return tuple(star.text for star in latest_first)

    def star(self, user: User, text: str) -> None:
        """Stars a prompt; repeating it is no error. Two AWS calls. Raises InvalidRequest, LimitReached at a hundred."""
        if not text.strip():
            _refuse("prompt", sentence("The prompt is empty: there is nothing to star."))
        if len(text) > MAX_CHARACTERS:
            _refuse(
                "prompt",
                sentence(
                    "The prompt has {count} characters; at most {most} can be starred.",
                    count=len(text),
                    most=MAX_CHARACTERS,
                ),
            )
        _check_characters("prompt", subject("prompt"), text, also="\n\t")
        known = self._texts.stars(user.id)
        if any(star.text == text for star in known):
            return
        if len(known) >= MAX_STARS:
            raise LimitReached(
                sentence(
                    "You have starred {count} prompts, the most. Take a star away first.", count=MAX_STARS
                ),
                code="too_many_stars",
            )
        self._texts.save(user.id, Star(text=text, starred_at=now()))
        event("prompt_starred", user=user.id)

    def unstar(self, user: User, text: str) -> None:
        """Removes the star; ignores a prompt without one. One AWS call."""
        self._texts.remove_star(user.id, text)
        event("prompt_unstarred", user=user.id)

    def recent(self, user: User) -> tuple[str, ...]:
        """Return the latest distinct prompts of the user's jobs, newest first, as one would type them. One AWS call."""
        jobs = self._jobs.page(user.id, limit=LOOKED_THROUGH, after=None, statuses=None).items
        return tuple(dict.fromkeys(escape(job.spec.prompt) for job in jobs))[:RECENT]


def _is_name(name: str) -> bool:
    return len(name) <= MAX_NAME and bool(_NAME.fullmatch(name))


def _check_name(name: str) -> None:
    if not _is_name(name):
        _refuse(
            "name",
            sentence(
                "A name has 1 to {most} of the characters a to z, 0 to 9, - and single _ between them: "
                "“sea-animals”.",
                most=MAX_NAME,
            ),
        )


def _entries(text: str) -> tuple[str, ...]:
    lines = [(number, _UNSEEN_ENDS.sub("", line)) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    for number, line in lines:
        if len(line) > MAX_ENTRY_CHARACTERS:
            _refuse(
                "entries",
                sentence(
                    "Line {number} has {count} characters; at most {most} are possible.",
                    number=number,
                    count=len(line),
                    most=MAX_ENTRY_CHARACTERS,
                ),
            )
        _check_characters("entries", sentence("Line {number}", number=number), line)
    entries = tuple(dict.fromkeys(line for _, line in lines))
    if not entries:
        _refuse("entries", sentence("The list is empty. Write one entry a line."))
    if len(entries) > MAX_ENTRIES:
        _refuse(
            "entries",
            sentence(
                "The list has {count} entries; at most {most} are possible.",
                count=len(entries),
                most=MAX_ENTRIES,
            ),
        )
    return entries


def _check_characters(param: str, what: str, text: str, *, also: str = "") -> None:
    for character in text:
        if character not in also and unicodedata.category(character) in {"Cc", "Cs"}:
            _refuse(
                param,
                sentence(
                    "{what} has a control character (U+{code:04X}). Remove it.",
                    what=what,
                    code=ord(character),
                ),
            )


def _refuse(param: str, message: str) -> NoReturn:
    raise InvalidRequest(message, param=param)
