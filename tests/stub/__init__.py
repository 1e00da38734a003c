"""A studio as `make run` starts it, whose model server keeps the container contract and needs no model."""
