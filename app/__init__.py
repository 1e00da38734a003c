"""The studio's doors: the browser app and the API, in one process."""
