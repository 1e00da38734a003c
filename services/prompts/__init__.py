"""Prompts as makers write them: alternatives, lists, templates, and recent and starred ones."""
