"""Reads, validates, sanitizes and writes picture files and their metadata; independent of records and AWS."""
