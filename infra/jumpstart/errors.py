"""The error raised when a JumpStart model cannot become Terraform variables."""


class JumpStartError(Exception):
    """No variables were written; the message states in one line why and what to do."""
