"""Repository maintenance: the checks behind `make check`, and the pins in the requirements files."""
