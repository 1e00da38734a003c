"""Finished pictures: storing, marking, sorting into albums, sharing, trash, and reconciliation."""
