"""ZIP files that makers order: the orders, their records, and the building of the file."""
