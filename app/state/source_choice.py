"""Which stored picture the form draws over: said by the address, so that a reload and a restart keep it, and remembered
for the session, which other pages' addresses do not lose."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace

import streamlit as st

from services.records import Fit, JobSpec, Source

CHOSEN = "form_source"
SOURCE, FIT, MASK = "source", "fit", "mask"


@dataclass(frozen=True)
class Chosen:
    """The choice. With `painting` only a part is drawn anew. `token` changes when the mask does not come from the
    painter, which then loads it; `fresh` until the form has seen the choice."""

    source: Source
    painting: bool = False
    fresh: bool = True
    token: str = field(default_factory=lambda: secrets.token_hex(4))


def current() -> Chosen | None:
    """What is chosen by the address, else by the session; the address says it afterwards."""
    asked = st.query_params.get(SOURCE)
    known: Chosen | None = st.session_state.get(CHOSEN)
    if asked and (known is None or known.source.id != asked):
        fit = Fit.PAD if st.query_params.get(FIT) == Fit.PAD.value else Fit.CROP
        mask = st.query_params.get(MASK)
        known = Chosen(Source(id=asked, fit=fit, mask=mask), painting=mask is not None)
    put(known)
    return known


def put(chosen: Chosen | None) -> None:
    """Remembers the choice and puts it into the address."""
    st.session_state[CHOSEN] = chosen
    source = chosen.source if chosen else None
    _say(SOURCE, source.id if source else "")
    _say(FIT, source.fit.value if source and source.fit is not Fit.CROP else "")
    _say(MASK, source.mask or "" if source and chosen and chosen.painting else "")


def choose(source_id: str, *, mask: str | None = None) -> None:
    """Has the form draw over another picture."""
    put(Chosen(Source(id=source_id, mask=mask), painting=mask is not None))


def change(chosen: Chosen, *, anew: bool = False, **values: object) -> Chosen:
    """The choice with another fit or mask; `anew` has the painter load that mask."""
    changed = replace(chosen, source=chosen.source.model_copy(update=values))
    if anew:
        changed = replace(changed, token=secrets.token_hex(4))
    put(changed)
    return changed


def recall(spec: JobSpec, job_id: str) -> None:
    """Has the form draw over what the job was drawn over, under its mask; over nothing when it was not."""
    if spec.image_sha256 is None:
        put(None)
    else:
        choose(job_id, mask=job_id if spec.mask_sha256 is not None else None)


def _say(name: str, value: str) -> None:
    if value and st.query_params.get(name) != value:
        st.query_params[name] = value
    elif not value and name in st.query_params:
        del st.query_params[name]
