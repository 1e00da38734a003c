"""Model folders: recognized by family, loaded, tuned and drawn with."""
