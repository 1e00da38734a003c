"""Tests of the REST API over the real services on the embedded cloud."""
