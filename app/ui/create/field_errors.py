"""Placeholders under the form's widgets for errors about their parameters."""

from __future__ import annotations

from dataclasses import dataclass

from app.i18n.texts import tr
from app.ui.common.error_banner import in_words, show_error
from app.ui.common.place import Place
from app.ui.common.plain_text import as_label
from services.errors import InvalidRequest, Moderated, StudioError
from services.records import JobRequest


@dataclass
class FieldErrors:
    """The placeholders for error messages, by parameter."""

    by_param: dict[str, Place]

    def show_at_field(self, error: InvalidRequest, request: JobRequest) -> bool:
        """Shows the error under the widget that caused it; returns False if no widget has its parameter."""
        slot = self.by_param.get(error.param or "")
        if slot is None:
            return False
        words = in_words(error)
        if isinstance(error, Moderated):
            start, end = error.span
            found = as_label(getattr(request, str(error.param))[start:end])
            words += " " + tr("Found: “{text}”.", text=found)
        slot.markdown(f":red[:material/error: {words}]")
        return True

    def show_or_banner(self, error: StudioError, request: JobRequest) -> None:
        """Shows the error under the widget that caused it, or as a banner if there is none."""
        if not (isinstance(error, InvalidRequest) and self.show_at_field(error, request)):
            show_error(error)
