"""Labelled prompts and disguises for the tests and the benchmark of moderation."""
