"""The benchmarks' drawing code, which runs in the model container's environment."""
