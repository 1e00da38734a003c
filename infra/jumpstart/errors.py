"""What keeps a JumpStart model from becoming Terraform variables."""


class JumpStartError(Exception):
    """No variables were written; the message is one line that says why and what to do."""
