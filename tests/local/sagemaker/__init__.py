"""Tests of the local SageMaker endpoint: plain boto3 in front, the embedded cloud behind."""
