"""Pocket, the built-in model: its data, training, evaluation, weights, and hints."""
