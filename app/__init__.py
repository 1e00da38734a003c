"""The pages for browsers and the API for programs, in one process."""
