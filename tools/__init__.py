"""What keeps the repository in order: the checks behind `make check` and the pins of the requirements files."""
