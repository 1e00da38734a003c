"""Keeps the tests' connections on this machine."""
