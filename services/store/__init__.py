"""Records as items of the one table: keys, conditions, and shapes."""
