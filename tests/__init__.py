"""The tests. Their folders mirror the code."""
