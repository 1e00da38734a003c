"""The data export of the account page: ZIPs of everything the studio stores about a user."""

from __future__ import annotations

import streamlit as st

from app.i18n.texts import decimal_comma, tr, tr_n
from app.ui.common.error_banner import show_error
from app.ui.gallery.export_dialog import live_exports
from services.build import Studio
from services.errors import StudioError
from services.records import User


def take_away(studio: Studio, user: User) -> None:
    """Draws the button and the existing ZIPs."""
    st.subheader(tr("Your data"), anchor=False)
    with st.container(border=True, key="take_away"):
        st.caption(
            tr(
                "Download everything the studio stores about you as a ZIP: all pictures with their "
                "settings, and your jobs, prompts, lists, albums, and account in plain files. The ZIP is "
                "created in the background and kept for two days."
            )
        )
        if st.button(tr("Create a ZIP of everything"), icon=":material/folder_zip:", key="take_away_order"):
            try:
                made = studio.personal_data.order(user, decimal_comma=decimal_comma())
            except StudioError as error:
                show_error(error)
            else:
                if made.left_out:
                    st.warning(
                        tr_n(
                            "Your oldest picture did not fit into {zips}. Filter the gallery by date to "
                            "download it.",
                            "Your {count} oldest pictures did not fit into {zips}. Filter the gallery by "
                            "date to download them.",
                            made.left_out,
                            zips=tr_n("{count} ZIP", "{count} ZIPs", len(made.exports)),
                        ),
                        icon=":material/inventory_2:",
                    )
        live_exports(studio, user)
