"""A SageMaker endpoint on loopback: the real wire protocol in front of the real inference server."""
