"""A SageMaker endpoint on loopback: SageMaker's wire protocol in front of the real inference server."""
