"""Draws a picture again from its recipe and reports which pixels and which parts of the recipe differ."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from babel.numbers import format_decimal

from app.i18n.texts import locale, number, tr
from app.i18n.wording import STATUS_WORDS, day
from app.ui.common import picture_facts as facts
from app.ui.common.error_banner import show_error
from app.ui.common.error_boundary import error_boundary
from app.ui.common.idempotency import press_key
from app.ui.common.job_remarks import show_failure
from app.ui.common.prices import price_words
from app.ui.viewer.compare import differing
from services.build import Studio
from services.errors import StudioError
from services.jobs.reproductions import Reproduction
from services.records import Image, Job, User
from services.store.reruns import Difference

POLL_S = 1.0
# Asks the page to reopen the viewer in the same state.
REOPEN = "viewer_reopen"


def reproduction_panel(
    studio: Studio, user: User, image: Image, job: Job, compare_with: Callable[[str, str], None]
) -> None:
    """Draws the panel."""
    st.caption(
        tr(
            "Draws this picture again from its recipe, even if an identical job exists, and compares both "
            "pictures pixel by pixel."
        )
    )
    try:
        card = studio.catalogue.card(job.spec.model)
        request = studio.repeats.picture(job, image)
        estimate = studio.jobs.estimate(request)
    except StudioError as error:
        show_error(error)
        if (earlier := studio.reproductions.latest(user, image.id)) is not None:
            _result(image, earlier, compare_with)
        return
    if card.revision != job.spec.model_revision:
        st.warning(
            tr(
                "The model has changed from {before} to {now}. Expect a different picture.",
                before=f"`{job.spec.model_revision}`",
                now=f"`{card.revision}`",
            ),
            icon=":material/model_training:",
        )
    pressed = st.button(tr("Draw it again and compare"), icon=":material/verified:", key="reproduction_draw")
    st.caption(price_words(estimate))
    if pressed:
        try:
            studio.reproductions.start(user, image.id, key=press_key("reproduction", request))
            st.session_state.pop("feed", None)
        except StudioError as error:
            show_error(error)
    found = studio.reproductions.latest(user, image.id)
    if found is not None and found.open:
        st.fragment(_watch, run_every=POLL_S)(studio, user, found)
    elif found is not None:
        _result(image, found, compare_with)


def _watch(studio: Studio, user: User, reproduction: Reproduction) -> None:
    """Polls once; when the re-run has ended, a full rerun of the page reopens the dialog with the result.

    This fragment is inside the dialog, so it cannot redraw the dialog itself.
    """
    with error_boundary():
        live = studio.live.watch(user, reproduction.rerun.job_id)
        if live.status.terminal:
            st.session_state[REOPEN] = True
            st.rerun()
        said = [tr(STATUS_WORDS[live.status])]
        if live.step and live.steps:
            said.append(tr("step {step} of {steps}", step=live.step, steps=live.steps))
        st.markdown(f":material/hourglass_top: {', '.join(said)}")


def _result(image: Image, reproduction: Reproduction, compare_with: Callable[[str, str], None]) -> None:
    """Shows the result of the last re-run."""
    again, found = reproduction.again, reproduction.rerun.difference
    drawn_at = reproduction.rerun.created_at
    when = tr("{day}, {time} UTC", day=day(drawn_at), time=f"{drawn_at:%H:%M}")
    if found is None:
        if again is None or again.failure is None:
            st.markdown(tr("Drawn again {when}. The picture no longer exists.", when=when))
        else:
            show_failure(again)
        return
    st.markdown(f"**{difference_words(found)}**")
    st.caption(tr("Drawn again {when}", when=when))
    if reproduction.map_url:
        st.image(reproduction.map_url, width="stretch", alt=tr("Map of the differences"))
        st.caption(tr("Differences amplified {count}x. Black means identical.", count=found.amplified))
    _parts(reproduction)
    if reproduction.picture is not None:
        st.button(
            tr("Compare the two"),
            icon=":material/compare:",
            key="reproduction_compare",
            on_click=compare_with,
            args=(image.id, reproduction.picture.id),
        )


def difference_words(found: Difference) -> str:
    """Returns the result as a sentence."""
    if found.identical:
        return tr("Identical: all {count} pixels are the same.", count=number(found.pixels))
    share = found.differing / found.pixels
    tenth = format_decimal(max(share * 100, 0.1), "0.0", locale=locale())
    return tr(
        "{differing} of {pixels} pixels differ ({part}), by at most {largest} of 255 levels.",
        differing=number(found.differing),
        pixels=number(found.pixels),
        part=tr("under {share} %", share=tenth) if share < 0.001 else tr("{share} %", share=tenth),
        largest=found.largest,
    )


def _parts(reproduction: Reproduction) -> None:
    """Lists what drew both pictures and marks the differences."""
    if reproduction.first is None or reproduction.again is None:
        return
    sides = [facts.origin(job) for job in (reproduction.first, reproduction.again)]
    if not all(sides):
        st.caption(tr("The weights, device, and libraries of the original were not recorded."))
        return
    differ, same = differing(sides[0], sides[1])
    for name, (then, now) in differ.items():
        st.markdown(f":orange[:material/change_circle: {tr('**{name}** has changed', name=name)}]")
        st.text(tr("then {then}\nnow  {now}", then=then, now=now))
    if same:
        st.caption(tr("Unchanged:"))
        st.text("\n".join(f"{name}: {value}" for name, value in same.items()))
