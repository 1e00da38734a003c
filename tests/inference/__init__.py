"""Tests of the model container: its server as a process, and its parts in this process."""
