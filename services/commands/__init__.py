"""Commands an operator runs: `python -m services.commands.<name>`."""
