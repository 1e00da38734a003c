"""What Streamlit runs for every page: page config, the sign-in gate, navigation.

It is at the root because Streamlit would serve a `pages/` folder next to the running script without the gate.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.auth.session import current_user, require, studio
from app.i18n.language import choose
from app.navigation import pages_for
from app.state import form_values
from app.state.preferences import preferred
from app.ui.common.error_boundary import error_boundary
from app.ui.common.sidebar import sidebar
from app.ui.common.tab_notice import notice_elsewhere
from app.ui.common.undo import show_undo

ASSETS = Path(__file__).parent / "app" / "assets"


st.set_page_config(
    page_title="Atelier",
    page_icon=str(ASSETS / "mark.svg"),
    layout="wide",
    menu_items={"Get help": None, "Report a bug": None, "About": None},
)
st.html(ASSETS / "atelier.css")
with error_boundary():
    user = current_user()
    choose(None if user is None else preferred(studio(), user).language)
    pages = pages_for(user)
    page = st.navigation(pages, position="hidden")
    if user is None:
        require()
    else:
        st.logo(str(ASSETS / "wordmark.svg"), icon_image=str(ASSETS / "mark.svg"), size="large")
        sidebar(studio(), user, pages)
        if page.url_path:
            form_values.left()
        show_undo(studio(), user)
        page.run()
        if page.url_path:
            notice_elsewhere(studio(), user)
