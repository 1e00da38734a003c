"""Stand-ins for AWS on a laptop: the embedded cloud, the local SageMaker endpoint and the launcher for both."""
