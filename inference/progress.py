"""Progress, previews, and the cancel marker of running jobs in S3, on threads that never delay the model."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from typing import Any

from inference.contract import JobReference, Progress
from inference.encoding import encode_preview
from inference.logs import log
from inference.pipelines.family import Pixels

INTERVAL_S = 1.0
# The largest share of the model thread's time for previews.
PREVIEW_SHARE = 0.1
# Concurrent S3 connections: the usual number of jobs in a batch.
CONNECTIONS = 16


class JobReport:
    """State shared by the model thread and a job's uploader. Made by `ProgressReporter.begin`."""

    def __init__(self, job: JobReference, steps: int) -> None:
        self.job = job
        self.steps = steps
        self.started_at = datetime.now(UTC)
        self.step = 0
        self.preview: Pixels | None = None
        self.canceled = False
        self._closed = False
        self.complained = False
        self._preview_due = 0.0
        self.changed = threading.Condition()

    def wants_preview(self) -> bool:
        """Return whether a new preview is worth its cost now."""
        return time.monotonic() >= self._preview_due

    def offer_preview(self, pixels: Pixels, cost_s: float) -> None:
        """Pass on a preview that took `cost_s` to make; the uploader sends it when it is due."""
        self._preview_due = time.monotonic() + max(INTERVAL_S, cost_s / PREVIEW_SHARE)
        with self.changed:
            self.preview = pixels
            self.changed.notify_all()

    def is_closed(self) -> bool:
        """Return whether the model has finished the job."""
        return self._closed

    def close(self) -> None:
        """Stop writing: the answer is about to be sent."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()


class ProgressReporter:
    """Writes at most one progress and one preview a second and job, and looks for the cancel marker as often.

    Each job has a thread of its own: one bucket that hangs must not hide the cancel marker of the job beside it.
    S3 failures are logged once a job and never reach the model.
    """

    def __init__(self) -> None:
        self._client: Any = None
        self._connecting = threading.Lock()
        self._connected = False

    def begin(self, job: JobReference, steps: int) -> JobReport:
        """Start reporting `job`, immediately with step 0; the caller closes the report."""
        report = JobReport(job, steps)
        try:
            threading.Thread(target=self._run, args=(report,), name="progress", daemon=True).start()
        except RuntimeError as exc:
            # No thread available: draw without progress reports.
            self._complain(report, "progress_unavailable", exc)
        return report

    def _run(self, report: JobReport) -> None:
        try:
            with self._connecting:
                if not self._connected:
                    self._connected = True
                    self._connect()
            if self._client is not None:
                self._follow(report)
        except Exception as exc:  # noqa: BLE001 - the edge of a thread: the job goes on without it
            self._complain(report, "progress_thread_failed", exc)

    def _connect(self) -> None:
        try:
            # Imported beside the first job's steps, which need the interpreter little: the model's own imports would
            # take as much longer.
            import boto3
            from botocore.config import Config

            self._client = boto3.client(
                "s3",
                region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
                config=Config(
                    connect_timeout=1,
                    read_timeout=2,
                    retries={"total_max_attempts": 1},
                    signature_version="s3v4",
                    s3={"addressing_style": "path"},
                    max_pool_connections=CONNECTIONS,
                ),
            )
        except Exception as exc:  # noqa: BLE001 - the edge of a thread: pictures are drawn without progress too
            log("warning", "progress_unavailable", error=type(exc).__name__)

    def _follow(self, report: JobReport) -> None:
        poll_at = progress_at = preview_at = 0.0
        written_step = -1
        while not report.is_closed():
            if time.monotonic() >= poll_at:
                self._poll_cancel(report)
                poll_at = time.monotonic() + INTERVAL_S
            if report.step != written_step and time.monotonic() >= progress_at:
                written_step = report.step
                self._put_progress(report, written_step)
                progress_at = time.monotonic() + INTERVAL_S
            if report.preview is not None and time.monotonic() >= preview_at:
                with report.changed:
                    pixels, report.preview = report.preview, None
                self._put(report, report.job.preview_key, encode_preview(pixels), "image/webp")
                preview_at = time.monotonic() + INTERVAL_S
            now = time.monotonic()
            due = [poll_at, max(progress_at, now + 0.05)]
            with report.changed:
                if report.is_closed():
                    return
                if report.preview is not None:
                    due.append(preview_at)
                report.changed.wait(max(0.0, min(due) - now))

    def _put_progress(self, report: JobReport, step: int) -> None:
        progress = Progress(
            step=step,
            steps=report.steps,
            started_at=report.started_at.isoformat(timespec="milliseconds"),
            updated_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        self._put(report, report.job.progress_key, progress.model_dump_json().encode(), "application/json")

    def _put(self, report: JobReport, key: str, body: bytes, content_type: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.put_object(
                Bucket=report.job.bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                CacheControl="no-store",
            )
        except (BotoCoreError, ClientError) as exc:
            self._complain(report, "progress_not_written", exc)

    def _poll_cancel(self, report: JobReport) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.head_object(Bucket=report.job.bucket, Key=report.job.cancel_key)
            report.canceled = True
        except ClientError as exc:
            if exc.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                self._complain(report, "cancel_marker_not_read", exc)
        except BotoCoreError as exc:
            self._complain(report, "cancel_marker_not_read", exc)

    def _complain(self, report: JobReport, event: str, exc: Exception) -> None:
        if report.complained:
            return
        report.complained = True
        response = getattr(exc, "response", None) or {}
        code = response.get("Error", {}).get("Code")
        log(
            "warning",
            event,
            job=report.job.prefix,
            attempt=report.job.attempt,
            error=type(exc).__name__,
            code=code,
        )
