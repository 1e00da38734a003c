"""A studio as `make run` starts it, with a stub model server that follows the container contract."""
