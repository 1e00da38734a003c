"""ZIP exports of pictures: ordered here, built by the worker (`build_zip`), and downloadable for 2 days.

The contents of an export are stored as a plan in the library bucket.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.aws.objects import LINK_S, Objects
from services.clock import now
from services.errors import Conflict, InvalidRequest, LimitReached, NotFound
from services.logs import event
from services.records import User
from services.sentences import sentence
from services.store import keys
from services.store.exports import Export, ExportStatus, ExportStore
from services.store.images import Place

KEPT = timedelta(hours=48)
MOST_PICTURES = 10_000
MOST_BYTES = 10 * 1024**3
MOST_OPEN = 3
MOST_KEPT = 20
MOST_EXTRA_BYTES = 32 * 1024 * 1024
MOST_PLAN_BYTES = 8 * 1024 * 1024
OPEN = frozenset({ExportStatus.WAITING, ExportStatus.WORKING})


@dataclass(frozen=True)
class ExtraFile:
    """A small file that goes into the ZIP beside the pictures; `name` is its path in there."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Plan:
    """The contents of an export: picture ids in order, names of extra files, whether the pictures keep their embedded
    settings, and whether the manifest's CSV file is for spreadsheets with a decimal comma."""

    image_ids: tuple[str, ...]
    extras: tuple[str, ...]
    settings: bool
    decimal_comma: bool


class Exports:
    """The exports of all users. Each method checks the owner."""

    def __init__(self, store: ExportStore, objects: Objects) -> None:
        self._store = store
        self._objects = objects

    def order(
        self,
        user: User,
        image_ids: Sequence[str],
        *,
        size_bytes: int,
        settings: bool,
        extras: Sequence[ExtraFile] = (),
        decimal_comma: bool = False,
    ) -> Export:
        """Orders a ZIP of the user's pictures with these ids, in this order; other users' ids are left out when it is
        built.

        `size_bytes` is the total size of the picture files, as the search returns it. With `settings`, each picture
        keeps its embedded settings, and a manifest lists them, for `decimal_comma` as in `csv_file`; without, only the
        `extras` contain prompts. Three AWS calls and one for each extra file. Raises InvalidRequest, LimitReached.
        """
        wanted = tuple(dict.fromkeys(image_ids))
        _check(wanted, size_bytes, extras)
        self.check_room(user)
        export = Export(
            id=keys.new_id(),
            user_id=user.id,
            status=ExportStatus.WAITING,
            pictures=len(wanted),
            settings=settings,
            created_at=now(),
            expires_at=now() + KEPT,
        )
        for number, extra in enumerate(extras):
            self._objects.put(_extra_key(export, number), extra.data, content_type="application/octet-stream")
        plan = {
            "ids": wanted,
            "extras": [extra.name for extra in extras],
            "settings": settings,
            "decimal_comma": decimal_comma,
        }
        self._objects.put(_plan_key(export), json.dumps(plan).encode(), content_type="application/json")
        self._store.add(export)
        event("export_ordered", user=user.id, export=export.id, pictures=export.pictures)
        return export

    def check_room(self, user: User, more: int = 1) -> None:
        """Raises LimitReached if this many more ZIPs exceed the limit. One AWS call."""
        known = self.list(user)
        if (open_now := sum(export.status in OPEN for export in known)) + more > MOST_OPEN:
            raise LimitReached(
                sentence(
                    "{count} of your ZIPs is being made; at most {most} are at once. Wait, or cancel one.",
                    count=open_now,
                    most=MOST_OPEN,
                )
                if open_now == 1
                else sentence(
                    "{count} of your ZIPs are being made; at most {most} are at once. Wait, or cancel one.",
                    count=open_now,
                    most=MOST_OPEN,
                ),
                code="too_many_exports",
            )
        if len(known) + more > MOST_KEPT:
            raise LimitReached(
                sentence(
                    "You have {count} ZIPs; at most {most} are kept. Delete one first.",
                    count=len(known),
                    most=MOST_KEPT,
                ),
                code="too_many_exports",
            )

    def list(self, user: User) -> tuple[Export, ...]:
        """Returns the user's exports, newest first. One AWS call."""
        exports = self._store.newest(user.id, limit=2 * MOST_KEPT)
        return tuple(export for export in exports if export.expires_at > now())

    def get(self, user: User, export_id: str) -> Export:
        """Returns the user's export. Raises NotFound. One AWS call."""
        export = self._store.find(user.id, export_id)
        if export is None or export.expires_at <= now():
            raise NotFound("There is no such ZIP.")
        return export

    def link(self, export: Export) -> str:
        """Returns a link to the finished ZIP, valid for an hour or until the ZIP expires; no AWS call. Raises
        Conflict.
        """
        if export.status is not ExportStatus.READY or export.file is None:
            raise Conflict("The ZIP is not ready.")
        left_s = int((export.expires_at - now()).total_seconds())
        name = f"atelier-{export.created_at:%Y-%m-%d-%H%M}-{export.pictures}-pictures.zip"
        return self._objects.link(
            zip_key(export, export.file), download_as=name, valid_s=max(1, min(LINK_S, left_s))
        )

    def delete(self, user: User, export_id: str) -> None:
        """Removes the export and its files, and cancels one that is being built. Four AWS calls. Raises NotFound."""
        self._remove(self.get(user, export_id))

    def forget(self, user_id: str) -> int:
        """Removes all of a user's exports with their objects; returns the number of objects."""
        for export in self._store.every(user_id):
            self._store.remove(export)
        self._objects.abort_uploads(keys.exports_prefix(user_id))
        return self._objects.erase(keys.exports_prefix(user_id))

    def drop_holding(self, user_id: str, image_ids: Collection[str]) -> None:
        """Removes finished exports that contain one of these pictures, and restarts open ones without them.

        One AWS call if there are no exports; one more for each.
        """
        erased = set(image_ids)
        for export in self._store.every(user_id):
            try:
                held = bool(erased.intersection(self.plan(export).image_ids))
            except NotFound:
                continue
            if not held:
                continue
            if export.status in OPEN:
                self._store.begin_again(export, now())
            else:
                self._remove(export)

    def plan(self, export: Export) -> Plan:
        """Returns the contents of an export. Raises NotFound. One AWS call."""
        said = json.loads(self._objects.get(_plan_key(export), max_bytes=MOST_PLAN_BYTES))
        return Plan(
            tuple(said["ids"]),
            tuple(said["extras"]),
            bool(said["settings"]),
            # Missing in orders from before 0.3.
            bool(said.get("decimal_comma")),
        )

    def extra_file(self, export: Export, number: int) -> bytes:
        """Returns the n-th extra file's bytes. Raises NotFound. One AWS call."""
        return self._objects.get(_extra_key(export, number), max_bytes=MOST_EXTRA_BYTES)

    def _remove(self, export: Export) -> None:
        """Removes the record first, so that no worker continues building; leftovers expire."""
        self._store.remove(export)
        self._objects.abort_uploads(keys.exports_prefix(export.user_id, export.id))
        self._objects.erase(keys.exports_prefix(export.user_id, export.id))
        event("export_removed", user=export.user_id, export=export.id)


def _check(image_ids: Sequence[str], size_bytes: int, extras: Sequence[ExtraFile]) -> None:
    if not image_ids and not extras:
        raise InvalidRequest("There are no pictures to put into the ZIP.", param="ids")
    if len(image_ids) > MOST_PICTURES:
        raise InvalidRequest(
            sentence(
                "{count:,} pictures are too many for one ZIP; at most {most:,} are possible. Choose fewer, "
                "for example by their days.",
                count=len(image_ids),
                most=MOST_PICTURES,
            ),
            param="ids",
        )
    if size_bytes > MOST_BYTES:
        raise InvalidRequest(
            sentence(
                "These pictures have {size:.1f} GB; at most {most} GB fit into one ZIP. Choose fewer, for "
                "example by their days.",
                size=size_bytes / 1024**3,
                most=MOST_BYTES // 1024**3,
            ),
            param="ids",
        )
    if any(Place.find("0" * 32, image_id) is None for image_id in image_ids):
        raise InvalidRequest("One of the ids is not a picture's.", param="ids")
    if sum(len(extra.data) for extra in extras) > MOST_EXTRA_BYTES:
        raise InvalidRequest("The files beside the pictures are too large.", param="extras")


def zip_key(export: Export, file: str = "") -> str:
    """Returns the S3 key of a ZIP built for the export; without the id of its `file`, the common prefix of all of them.

    Every worker that builds the export writes a file of its own, so that none overwrites another's.
    """
    return f"{keys.exports_prefix(export.user_id, export.id)}zip/{f'{file}.zip' if file else ''}"


def _plan_key(export: Export) -> str:
    return f"{keys.exports_prefix(export.user_id, export.id)}plan.json"


def _extra_key(export: Export, number: int) -> str:
    return f"{keys.exports_prefix(export.user_id, export.id)}extra-{number}"
