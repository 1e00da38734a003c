"""The files that Streamlit keeps in memory for sessions: whose they are, how large, and which are abandoned.

Remove when Streamlit ties its upload and media routes to the signed-in user.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any

from streamlit.runtime import Runtime
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

MOST_GENERATED = 1000


class SessionFiles:
    """The files of this process's Streamlit server."""

    def cookies_of(self, session_id: str) -> Mapping[str, str] | None:
        """The cookies with which the session's socket was opened; None for a session without a socket."""
        info = Runtime.instance()._session_mgr.get_active_session_info(session_id)
        context: Any = None if info is None else info.client.client_context
        return None if context is None else context.cookies

    def sessions_of(self, file_id: str) -> frozenset[str]:
        """The sessions that show or ordered a file of `/media`."""
        manager = Runtime.instance().media_file_mgr
        with manager._lock:
            shown = {
                session
                for session, files in manager._files_by_session_and_coord.items()
                if file_id in files.values()
            }
        return frozenset(shown | _generated_for(file_id))

    def uploaded_bytes(self) -> dict[str, int]:
        """How many bytes of uploads each session holds."""
        store = self._uploads()
        with store._lock:
            return {
                session: sum(len(file.data) for file in files.values())
                for session, files in store.file_storage.items()
            }

    def drop_abandoned(self) -> None:
        """Removes the uploads of sessions whose socket is closed."""
        store = self._uploads()
        for session_id in self.uploaded_bytes():
            if self.cookies_of(session_id) is None:
                store.remove_session_files(session_id)

    def _uploads(self) -> MemoryUploadedFileManager:
        store = Runtime.instance().uploaded_file_mgr
        if not isinstance(store, MemoryUploadedFileManager):
            raise TypeError("Streamlit keeps its uploads elsewhere: the guard of uploads must follow.")
        return store


# Sessions that ordered a generated file, by its id: Streamlit does not note them.
_generated: OrderedDict[str, frozenset[str]] = OrderedDict()
_generated_lock = Lock()


def _generated_for(file_id: str) -> frozenset[str]:
    with _generated_lock:
        return _generated.get(file_id, frozenset())


def install() -> None:
    """Notes for which sessions a download was generated. Call once, before the server runs."""
    execute = MediaFileManager.execute_deferred

    def noted(manager: MediaFileManager, file_id: str) -> str:
        with manager._lock:
            sessions = frozenset(
                session
                for session, files in manager._files_by_session_and_coord.items()
                if file_id in files.values()
            )
        url = execute(manager, file_id)
        made = file_id_of(url)
        with _generated_lock:
            _generated[made] = _generated.pop(made, frozenset()) | sessions
            while len(_generated) > MOST_GENERATED:
                _generated.popitem(last=False)
        return url

    MediaFileManager.execute_deferred = noted  # type: ignore[method-assign, assignment]


def file_id_of(path: str) -> str:
    """The id in a path below `/media`: the file's name without its ending."""
    return path.rpartition("/")[2].partition(".")[0]
