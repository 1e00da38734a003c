"""The models the studio offers: one card each, with limits, sizes, and prices."""
