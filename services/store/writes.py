"""The type of the writes that stores return and business code passes on to a transaction without reading them."""

from __future__ import annotations

from services.aws.table import Delete, Put, TransactionRefused, Update

Write = Put | Update | Delete

__all__ = ["TransactionRefused", "Write"]
