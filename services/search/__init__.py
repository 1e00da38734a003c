"""Search over a person's pictures: the index in S3, its copy in memory, and the query."""
