"""Operators' commands: `python -m services.commands.<name>`."""
