"""Sharing the picture: a link for anybody that ends by itself, and the links there are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import streamlit as st

from app.components.error_banner import show_error
from app.navigation import GALLERY
from app.share_page import share_url
from app.wording import plural
from services.attached_records import Share
from services.build import Studio
from services.errors import NotFound, StudioError
from services.records import Image, User
from services.shares import LIVES, MOST_VIEWS

# The address of the link just made, and which picture it shows; it is nowhere else.
NEW_SHARE = "new_share"
LIFE_WORDS = dict(zip(LIVES, ("1 hour", "1 day", "7 days", "30 days"), strict=True))


def share_panel(studio: Studio, user: User, image: Image) -> None:
    """Draws the panel."""
    st.caption(
        "Anybody with the link sees this picture without signing in, and nothing else of yours. "
        "The copy they get says nothing about how it was made."
    )
    lives = st.segmented_control(
        "The link ends after",
        LIVES,
        default=LIVES[2],
        required=True,
        format_func=LIFE_WORDS.__getitem__,
        key="share_lives",
    )
    with_prompt = st.checkbox("Show the prompt as well", key="share_prompt")
    if st.button("Make a link", type="primary", icon=":material/link:", key="share_make"):
        try:
            new = studio.shares.create(user, image.id, lives=lives or LIVES[2], with_prompt=with_prompt)
            st.session_state[NEW_SHARE] = (image.id, share_url(studio.settings.public_url, new.token))
        except StudioError as error:
            show_error(error)
    shown_for, address = st.session_state.get(NEW_SHARE, (None, ""))
    if shown_for == image.id:
        st.code(address, language=None, wrap_lines=True)
        st.caption("Copy it now: it is not kept here and cannot be shown again.")
    share_rows(studio, user, studio.shares.list(user, image.id))


def share_rows(studio: Studio, user: User, shares: Iterable[Share], *, linked: bool = False) -> None:
    """The links, each with its end, how often it was opened, and the way to take it back.

    `linked` adds the way to its picture.
    """
    for share in shares:
        with st.container(
            horizontal=True, vertical_alignment="center", gap="small", key=f"share_{share.id}", wrap=False
        ):
            st.text(words(share), width="stretch")
            if linked:
                st.page_link(
                    GALLERY,
                    label="Picture",
                    icon=":material/image:",
                    query_params={"image": share.image_id},
                )
            st.button(
                "Take back",
                icon=":material/link_off:",
                type="tertiary",
                key=f"revoke_{share.id}",
                on_click=_revoke,
                args=(studio, user, share.id),
            )
    if (error := st.session_state.pop("share_error", None)) is not None:
        show_error(error)


def words(share: Share, now: datetime | None = None) -> str:
    """`Ends in 6 days, with the prompt, opened 3 times`."""
    parts = [f"Ends in {remaining(share, now or datetime.now(UTC))}"]
    if share.with_prompt:
        parts.append("with the prompt")
    many = f"{MOST_VIEWS:,} times or more" if share.views >= MOST_VIEWS else plural(share.views, "time")
    parts.append(f"opened {many}" if share.views else "not opened yet")
    return ", ".join(parts)


def remaining(share: Share, now: datetime) -> str:
    """The time left in its largest unit, begun ones counted."""
    minutes = max(0.0, (share.expires_at - now).total_seconds() / 60)
    for size, name in ((1440, "day"), (60, "hour")):
        if minutes > size:
            return plural(int(-(-minutes // size)), name)
    return plural(max(1, int(-(-minutes // 1))), "minute")


def _revoke(studio: Studio, user: User, share_id: str) -> None:
    try:
        studio.shares.revoke(user, share_id)
    except NotFound:
        return  # It has ended meanwhile, which is what was wanted.
    except StudioError as error:
        st.session_state["share_error"] = error
        return
    st.session_state.pop(NEW_SHARE, None)
