"""The model container: an HTTP server that draws pictures the way a SageMaker endpoint is asked to."""
