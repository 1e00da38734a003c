"""S3 locations: parses addresses and names the output and failure objects of a request."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

MAX_GENERATED_NAME = 128
_PLAIN_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
_VIRTUAL_HOST = re.compile(r"^(?P<bucket>.+)\.s3[.-][a-z0-9.-]*amazonaws\.com(\.cn)?$")
_PATH_HOST = re.compile(r"^s3[.-][a-z0-9.-]*amazonaws\.com(\.cn)?$")


class BadLocation(ValueError):
    """The text is not an S3 address; the message says what is expected."""


@dataclass(frozen=True)
class S3Location:
    """A bucket and a key; for a prefix, `key` is the prefix and may be empty."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> S3Location:
        """Return the object at `s3://bucket/key` or at an https address of S3. Raises BadLocation."""
        location = cls._parse(text)
        if not location.key:
            raise BadLocation(f"{text!r} names a bucket, not an object: s3://bucket/key is wanted")
        return location

    @classmethod
    def parse_prefix(cls, text: str) -> S3Location:
        """Return the prefix at `s3://bucket[/prefix]`. Raises BadLocation."""
        if not text.startswith("s3://"):
            raise BadLocation(f"{text!r} is not an S3 path: s3://bucket/prefix is wanted")
        location = cls._parse(text)
        return cls(location.bucket, location.key.strip("/"))

    @classmethod
    def _parse(cls, text: str) -> S3Location:
        scheme, _, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme == "https":
            parts = urlsplit(text)
            host = parts.netloc.lower()
            path = unquote(parts.path).removeprefix("/")
            if virtual := _VIRTUAL_HOST.match(host):
                bucket, key = virtual["bucket"], path
            elif _PATH_HOST.match(host):
                bucket, _, key = path.partition("/")
            else:
                raise BadLocation(f"{text!r} is not an address of S3")
        elif scheme != "s3":
            raise BadLocation(f"{text!r} is not an S3 path: s3://bucket/key is wanted")
        if not bucket:
            raise BadLocation(f"{text!r} names no bucket: s3://bucket/key is wanted")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def output_location(base: str, inference_id: str, extension: str | None, filename: str | None) -> S3Location:
    """Return `<base>/<extension>/<filename>`; without a filename, the name is `<id>.out`."""
    return _join(base, extension, filename or f"{_name_of(inference_id)}.out")


def failure_location(
    base: str | None, inference_id: str, extension: str | None, filename: str | None
) -> S3Location | None:
    """Return `<base>/<extension>/<stem of the filename>-error.out`, or None without a failure path."""
    if base is None:
        return None
    stem = filename.partition(".")[0] if filename else _name_of(inference_id)
    return _join(base, extension, f"{stem}-error.out")


def _join(base: str, extension: str | None, name: str) -> S3Location:
    prefix = S3Location.parse_prefix(base)
    parts = [prefix.key, (extension or "").strip("/"), name]
    return S3Location(prefix.bucket, "/".join(part for part in parts if part))


def _name_of(inference_id: str) -> str:
    # An id may contain any printable character, even slashes; the name made from it is one plain, unique segment.
    if _PLAIN_NAME.match(inference_id):
        return inference_id
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", inference_id).strip("-")[:MAX_GENERATED_NAME]
    return f"{plain or 'request'}-{hashlib.sha256(inference_id.encode()).hexdigest()[:12]}"
