"""The measurements' parts that draw: they run in the environment of the model container."""
