"""ZIP exports: orders, records, and building the file."""
