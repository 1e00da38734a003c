"""The picture viewer, its panels, and the comparison of two pictures."""
