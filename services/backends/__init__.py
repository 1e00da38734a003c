"""Back ends that draw: how a job is submitted, tracked, and its answer read."""
