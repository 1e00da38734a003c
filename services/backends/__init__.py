"""What draws: how a job is handed to a back end, how it is followed there, and what its answer means."""
