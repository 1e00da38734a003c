"""Refuses prompts before they run: the rules and the normalization of disguised text."""
