"""The model container: an HTTP server that draws pictures and answers as SageMaker endpoints do."""
