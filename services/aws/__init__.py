"""The only place that imports boto3: one file a service, each translating AWS's errors into the studio's."""
