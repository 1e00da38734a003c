"""Model folders: recognizing the family, loading, tuning, and drawing."""
