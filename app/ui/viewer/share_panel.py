"""Creates public links that expire and lists the existing ones."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime

import streamlit as st

from app.i18n.texts import mark, number, tr, tr_n
from app.navigation import GALLERY
from app.state.share_links import share_url
from app.ui.common.error_banner import show_error
from services.build import Studio
from services.errors import NotFound, StudioError
from services.images.attachment_records import Share
from services.images.shares import LIVES, MOST_VIEWS
from services.records import Image, User

# The URL of the link just created and its picture; the URL is stored nowhere else.
NEW_SHARE = "new_share"
LIFE_WORDS = dict(zip(LIVES, (mark("1 hour"), mark("1 day"), mark("7 days"), mark("30 days")), strict=True))


def share_panel(studio: Studio, user: User, image: Image) -> None:
    """Draws the panel."""
    st.caption(
        tr(
            "Anyone with the link can see this picture without signing in, but nothing else of yours. The "
            "shared copy contains no metadata."
        )
    )
    lives = st.segmented_control(
        tr("The link expires after"),
        LIVES,
        default=LIVES[2],
        required=True,
        format_func=lambda life: tr(LIFE_WORDS[life]),
        key="share_lives",
    )
    with_prompt = st.checkbox(tr("Include the prompt"), key="share_prompt")
    if st.button(tr("Create link"), type="primary", icon=":material/link:", key="share_make"):
        try:
            new = studio.shares.create(user, image.id, lives=lives or LIVES[2], with_prompt=with_prompt)
            st.session_state[NEW_SHARE] = (image.id, share_url(studio.settings.public_url, new.token))
        except StudioError as error:
            show_error(error)
    shown_for, address = st.session_state.get(NEW_SHARE, (None, ""))
    if shown_for == image.id:
        st.code(address, language=None, wrap_lines=True)
        st.caption(tr("Copy it now. The link is not stored and cannot be shown again."))
    share_rows(studio, user, studio.shares.list(user, image.id))


def share_rows(studio: Studio, user: User, shares: Iterable[Share], *, linked: bool = False) -> None:
    """Lists the links with their expiry, view counts, and the button that revokes them.

    `linked` adds a button that opens the picture.
    """
    for share in shares:
        with st.container(
            horizontal=True, vertical_alignment="center", gap="small", key=f"share_{share.id}", wrap=False
        ):
            st.text(words(share), width="stretch")
            if linked:
                st.page_link(
                    GALLERY,
                    label=tr("Picture"),
                    icon=":material/image:",
                    query_params={"image": share.image_id},
                )
            st.button(
                tr("Stop sharing"),
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
    parts = [_end(share, now or datetime.now(UTC))]
    if share.with_prompt:
        parts.append(tr("with the prompt"))
    if share.views >= MOST_VIEWS:
        parts.append(tr("opened at least {count} times", count=number(MOST_VIEWS)))
    elif share.views:
        parts.append(tr_n("opened {count} time", "opened {count} times", share.views))
    else:
        parts.append(tr("not opened yet"))
    return ", ".join(parts)


def _end(share: Share, now: datetime) -> str:
    """Returns the remaining time in its largest unit, rounded up."""
    minutes = max(1, math.ceil((share.expires_at - now).total_seconds() / 60))
    if minutes > 1440:
        return tr_n("Expires in {count} day", "Expires in {count} days", math.ceil(minutes / 1440))
    if minutes > 60:
        return tr_n("Expires in {count} hour", "Expires in {count} hours", math.ceil(minutes / 60))
    return tr_n("Expires in {count} minute", "Expires in {count} minutes", minutes)


def _revoke(studio: Studio, user: User, share_id: str) -> None:
    try:
        studio.shares.revoke(user, share_id)
    except NotFound:
        return  # It has ended meanwhile, which is what was wanted.
    except StudioError as error:
        st.session_state["share_error"] = error
        return
    st.session_state.pop(NEW_SHARE, None)
