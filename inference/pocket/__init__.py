"""Pocket, the built-in model: its data, its training, its evaluation and its weights (`weights/`)."""
