"""Tests of the model container: its server as a process, its parts in this process."""
