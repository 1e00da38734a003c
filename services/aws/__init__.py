"""The only package that imports boto3: one file per service, each translating AWS's errors into the studio's."""
