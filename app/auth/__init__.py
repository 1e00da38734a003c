"""Signing in and out of the pages, and who is signed in."""
