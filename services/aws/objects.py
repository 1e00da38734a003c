"""S3 objects: read, write, presign, and erase with every version."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from services.aws.session import Client, error_code, passing, translated, unavailable
from services.errors import BadOutput, NotFound
from services.sentences import sentence

LINK_S = 3600
DELETE_BATCH = 1000
PUT_TRIES = 3


class Objects:
    """One bucket. Every method is one AWS call unless its docstring says otherwise."""

    def __init__(self, client: Client, bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    @translated("S3")
    def get(self, key: str, *, max_bytes: int) -> bytes:
        """Returns the object's bytes. Raises NotFound, and BadOutput for an object over `max_bytes`, which is not
        read.
        """
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=key)
        except ClientError as exc:
            if error_code(exc) in {"NoSuchKey", "404"}:
                raise NotFound(
                    sentence("There is no object {key} in the bucket {bucket}.", key=key, bucket=self.bucket)
                ) from exc
            raise
        with answer["Body"] as body:
            if answer["ContentLength"] > max_bytes:
                raise BadOutput(
                    sentence(
                        "The model's answer has {size} bytes; at most {most} are read.",
                        size=answer["ContentLength"],
                        most=max_bytes,
                    )
                )
            return bytes(body.read())

    @translated("S3")
    def exists(self, key: str) -> bool:
        """Whether the object exists."""
        try:
            self._client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as exc:
            if error_code(exc) in {"NoSuchKey", "NotFound", "404"}:
                return False
            raise
        return True

    @translated("S3")
    def put(self, key: str, body: bytes, *, content_type: str) -> None:
        """Writes the object; repeating it with the same key and bytes is invisible to readers."""
        self._client.put_object(
            Bucket=self.bucket,
            Key=key,
            Body=body,
            ContentType=content_type,
            CacheControl="private, max-age=3600, immutable",
        )

    @translated("S3")
    def put_once(self, key: str, body: bytes, *, content_type: str) -> bool:
        """Writes the object unless it exists; returns whether it did. Of two concurrent writers, one writes."""
        for left in reversed(range(PUT_TRIES)):
            try:
                self._client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=body,
                    ContentType=content_type,
                    CacheControl="private, max-age=3600, immutable",
                    IfNoneMatch="*",
                )
            except ClientError as exc:
                if error_code(exc) in {"PreconditionFailed", "412"}:
                    return False
                # S3's answer while another conditional write of the key is in progress.
                if error_code(exc) not in {"ConditionalRequestConflict", "409"}:
                    raise
                if not left:
                    raise unavailable("S3", exc) from exc
            else:
                return True
        raise AssertionError("the last try returns or raises")

    def link(self, key: str, *, download_as: str | None = None, valid_s: int = LINK_S) -> str:
        """Returns a presigned GET link valid for at most an hour; no AWS call. With `download_as`, the browser saves
        it.
        """
        parameters: dict[str, Any] = {"Bucket": self.bucket, "Key": key}
        if download_as is not None:
            parameters["ResponseContentDisposition"] = f'attachment; filename="{download_as}"'
        return str(self._client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=valid_s))

    def keys(self, prefix: str) -> Iterator[str]:
        """Yields every current key below `prefix`; one call for each thousand."""
        for page in self._pages("list_objects_v2", prefix):
            for entry in page.get("Contents", []):
                yield str(entry["Key"])

    def erase(self, prefix: str, *, keep: Collection[str] = ()) -> int:
        """Erases every version and delete marker below `prefix`; returns how many distinct keys went.

        The keys in `keep` stay.

        One listing and one deletion for each thousand versions.
        """
        erased: set[str] = set()
        for page in self._pages("list_object_versions", prefix):
            entries = [
                entry
                for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                if entry["Key"] not in keep
            ]
            for start in range(0, len(entries), DELETE_BATCH):
                batch = entries[start : start + DELETE_BATCH]
                self._delete([{"Key": e["Key"], "VersionId": e["VersionId"]} for e in batch])
                erased |= {e["Key"] for e in batch}
        return len(erased)

    @translated("S3")
    def begin_upload(self, key: str, *, content_type: str) -> str:
        """Begins a multipart upload; returns its id."""
        answer = self._client.create_multipart_upload(Bucket=self.bucket, Key=key, ContentType=content_type)
        return str(answer["UploadId"])

    @translated("S3")
    def upload_part(self, key: str, upload: str, number: int, body: bytes) -> str:
        """Uploads the part with that number, from 1; returns its tag. All but the last have at least 5 MiB.

        Raises NotFound if the upload was aborted.
        """
        try:
            answer = self._client.upload_part(
                Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number, Body=body
            )
        except ClientError as exc:
            if error_code(exc) == "NoSuchUpload":
                raise NotFound("The upload was dropped.") from exc
            raise
        return str(answer["ETag"])

    @translated("S3")
    def complete_upload(self, key: str, upload: str, tags: Sequence[str]) -> None:
        """Assembles the object from its parts, by their tags in order; it is invisible before that.

        Raises NotFound if the upload was aborted. boto3 repeats the call after a lost answer: then the object exists.
        """
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, start=1)]
        try:
            self._client.complete_multipart_upload(
                Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except ClientError as exc:
            if error_code(exc) != "NoSuchUpload":
                raise
            if not self.exists(key):
                raise NotFound("The upload was dropped.") from exc

    def abort_uploads(self, prefix: str) -> int:
        """Aborts all unfinished uploads below `prefix`; returns their number. One call, and one for each."""
        dropped = 0
        for page in self._pages("list_multipart_uploads", prefix):
            for upload in page.get("Uploads", []):
                self._abort(upload["Key"], upload["UploadId"])
                dropped += 1
        return dropped

    @translated("S3")
    def _abort(self, key: str, upload: str) -> None:
        try:
            self._client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
        except ClientError as exc:
            if error_code(exc) != "NoSuchUpload":
                raise

    @translated("S3")
    def _delete(self, batch: list[dict[str, str]]) -> None:
        answer = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True})
        if failed := answer.get("Errors"):
            raise RuntimeError(f"S3 kept {len(failed)} objects of {self.bucket}: {failed[0].get('Code')}")

    def _pages(self, operation: str, prefix: str) -> Iterator[dict[str, Any]]:
        try:
            yield from self._client.get_paginator(operation).paginate(Bucket=self.bucket, Prefix=prefix)
        except (BotoCoreError, ClientError) as exc:
            if passing(exc):
                raise unavailable("S3", exc) from exc
            raise
