"""Tests of the built-in model: what the shipped weights draw, and the parts that make them."""
