"""What pages are built from: one package per page, and `common` for what several pages show."""
