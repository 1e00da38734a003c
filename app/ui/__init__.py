"""What pages are built from, one package a page, and `common` for what several pages show."""
