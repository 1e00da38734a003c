"""What a record's store hands to whoever runs the transaction: writes that business code passes on unread."""

from __future__ import annotations

from services.aws.table import Delete, Put, TransactionRefused, Update

Write = Put | Update | Delete

__all__ = ["TransactionRefused", "Write"]
