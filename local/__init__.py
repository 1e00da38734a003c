"""What AWS is on a laptop: the embedded cloud, the local SageMaker endpoint and the command that starts them."""
