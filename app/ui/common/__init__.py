"""Parts that several pages show, and what loads the scripts of components."""
