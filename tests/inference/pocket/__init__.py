"""Tests of the built-in model: the shipped weights as they draw, and the parts that make them."""
