"""What a browser session keeps between runs of a page, and what pages cache."""
