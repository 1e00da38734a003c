"""The results queue: long polling for the endpoint's notifications, and acknowledging them."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from services.aws.session import Client, error_code, translated

# SQS's error for a message that is already deleted, for example by a delete whose answer was lost.
GONE = frozenset({"ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"})
WAIT_S = 10
BATCH = 10
VISIBILITY_S = 60


@dataclass(frozen=True)
class Message:
    """One delivery. `receipt` acknowledges it; `receives` counts how often it was delivered."""

    body: str
    receipt: str
    receives: int


class Queue:
    """One SQS queue. Every method is one AWS call."""

    def __init__(self, client: Client, url: str) -> None:
        self._client = client
        self._url = url

    @translated("SQS")
    def receive(self, *, wait_s: int = WAIT_S) -> list[Message]:
        """Returns up to ten messages, waiting at most `wait_s` for the first; unacknowledged ones are delivered
        again.
        """
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=wait_s,
            VisibilityTimeout=VISIBILITY_S,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        return [
            Message(
                body=raw["Body"],
                receipt=raw["ReceiptHandle"],
                receives=int(raw.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
            )
            for raw in answer.get("Messages", [])
        ]

    @translated("SQS")
    def acknowledge(self, message: Message) -> None:
        """Deletes the message; no error if it is gone. If it fails, the message is delivered again."""
        try:
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)
        except ClientError as exc:
            if error_code(exc) not in GONE:
                raise

    @translated("SQS")
    def give_back(self, message: Message, *, delay_s: int) -> None:
        """Makes the message visible again after `delay_s` seconds; a deleted one stays deleted."""
        try:
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=delay_s
            )
        except ClientError as exc:
            if error_code(exc) not in GONE:
                raise
