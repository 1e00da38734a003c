"""The form's source picture: kept in the URL, which survives reloads and restarts, and in the session, which
survives visits of other pages."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace

import streamlit as st

from services.records import Fit, JobSpec, Source

CHOSEN = "form_source"
SOURCE, FIT, MASK = "source", "fit", "mask"


@dataclass(frozen=True)
class Chosen:
    """The choice. With `painting`, only a part is redrawn. `token` changes when the mask does not come from the
    painter, which then loads it; `fresh` until the form has seen the choice."""

    source: Source
    painting: bool = False
    fresh: bool = True
    token: str = field(default_factory=lambda: secrets.token_hex(4))


def current() -> Chosen | None:
    """Returns the choice from the URL, else from the session, and writes it to the URL."""
    asked = st.query_params.get(SOURCE)
    known: Chosen | None = st.session_state.get(CHOSEN)
    if asked and (known is None or known.source.id != asked):
        fit = Fit.PAD if st.query_params.get(FIT) == Fit.PAD.value else Fit.CROP
        mask = st.query_params.get(MASK)
        known = Chosen(Source(id=asked, fit=fit, mask=mask), painting=mask is not None)
    put(known)
    return known


def put(chosen: Chosen | None) -> None:
    """Stores the choice in the session and the URL."""
    st.session_state[CHOSEN] = chosen
    source = chosen.source if chosen else None
    _say(SOURCE, source.id if source else "")
    _say(FIT, source.fit.value if source and source.fit is not Fit.CROP else "")
    _say(MASK, source.mask or "" if source and chosen and chosen.painting else "")


def choose(source_id: str, *, mask: str | None = None) -> None:
    """Makes the form draw over another picture."""
    put(Chosen(Source(id=source_id, mask=mask), painting=mask is not None))


def change(chosen: Chosen, *, reload: bool = False, **values: object) -> Chosen:
    """Returns the choice with another fit or mask; `reload` makes the painter load that mask."""
    changed = replace(chosen, source=chosen.source.model_copy(update=values))
    if reload:
        changed = replace(changed, token=secrets.token_hex(4))
    put(changed)
    return changed


def recall(spec: JobSpec, job_id: str) -> None:
    """Makes the form use the job's source picture and mask, or none if the job had none."""
    if spec.image_sha256 is None:
        put(None)
    else:
        choose(job_id, mask=job_id if spec.mask_sha256 is not None else None)


def _say(name: str, value: str) -> None:
    if value and st.query_params.get(name) != value:
        st.query_params[name] = value
    elif not value and name in st.query_params:
        del st.query_params[name]
