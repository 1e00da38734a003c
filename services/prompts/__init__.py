"""Prompt authoring: alternatives, lists, templates, and recent and starred prompts."""
