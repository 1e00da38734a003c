"""The AWS deployment and the code that determines its settings."""
