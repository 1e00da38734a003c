"""What the studio costs in time and calls, measured: one table a file, ratios and counts rather than seconds."""
