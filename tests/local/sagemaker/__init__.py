"""Tests of the local SageMaker endpoint, called with plain boto3 and backed by the embedded cloud."""
