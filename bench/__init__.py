"""Benchmarks of the studio's time and calls: one table per file, with ratios and counts rather than seconds."""
