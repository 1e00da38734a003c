"""The list of pages: file, title, icon, path, section and the role that may see each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from app.i18n.texts import mark, tr
from services.records import Role, User


@dataclass(frozen=True)
class PageEntry:
    """One page. `path` is its URL path (empty for the first page), `file` is relative to the root.

    `tr` translates title and section.
    """

    file: str
    title: str
    icon: str
    path: str
    section: str
    role: Role = Role.MAKER


# Pages that other pages link to.
GENERATE = "app/pages/generate.py"
GALLERY = "app/pages/gallery.py"

PAGES = (
    PageEntry(GENERATE, mark("Generate"), ":material/auto_awesome:", "", mark("Create")),
    PageEntry(
        GALLERY,
        mark("Gallery"),
        ":material/photo_library:",
        "gallery",
        mark("Library"),
    ),
    PageEntry("app/pages/history.py", mark("History"), ":material/history:", "history", mark("Library")),
    PageEntry(
        "app/pages/admin_costs.py",
        mark("Costs"),
        ":material/payments:",
        "admin_costs",
        mark("Studio"),
        Role.ADMIN,
    ),
    PageEntry("app/pages/account.py", mark("Account"), ":material/account_circle:", "account", mark("You")),
)


def pages_for(user: User | None) -> Mapping[str, list[st.Page]]:
    """All pages by section, those of another role hidden from the menu.

    Every page is registered for every user, because Streamlit answers an unregistered path with a modal that
    makes the page below it unusable; the first line of each page checks access.
    """
    sections: dict[str, list[st.Page]] = {}
    for entry in PAGES:
        visible = user is not None and (entry.role is Role.MAKER or user.role is Role.ADMIN)
        page = st.Page(
            entry.file,
            title=tr(entry.title),
            icon=entry.icon,
            url_path=entry.path or None,
            default=not entry.path,
            visibility="visible" if visible else "hidden",
        )
        sections.setdefault(entry.section, []).append(page)
    return sections
