"""The state of a browser session between runs of a page, and the pages' caches."""
