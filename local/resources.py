"""Creates on the embedded cloud what Terraform creates on AWS (table, buckets, topics, queues, sign-in). Idempotent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.signin import SignIn, make_sign_in

REGION = "us-east-1"
TABLE = "atelier"
INPUTS_BUCKET = "atelier-inputs"
OUTPUTS_BUCKET = "atelier-outputs"
IMAGES_BUCKET = "atelier-images"
LIBRARY_BUCKET = "atelier-library"
SUCCESS_TOPIC = "atelier-success"
ERRORS_TOPIC = "atelier-errors"
RESULTS_QUEUE = "atelier-results"
DEAD_LETTERS_QUEUE = "atelier-results-dlq"
RECEIVES_BEFORE_DEAD_LETTER = 5
# Longer than the worker needs for one result (fetch, thumbnails, store); `infra/` uses the same value.
VISIBILITY_S = 60
RETENTION_S = 14 * 24 * 3600
EXPIRY_DAYS = {INPUTS_BUCKET: 30, OUTPUTS_BUCKET: 30, LIBRARY_BUCKET: 3}
# The part of a bucket that expires: in the library only the exports, never the search indexes.
EXPIRING_PREFIX = {LIBRARY_BUCKET: "exports/"}
MODEL = "pocket"
ACCESS_KEY_ID = "test"
# MiniStack accepts any secret on loopback, but links must be signed with that of the cloud: a home has its own.
SECRET_ACCESS_KEY = "test"  # noqa: S105

Client = Callable[[str], Any]


@dataclass(frozen=True)
class Resources:
    """Names and addresses of the created resources."""

    endpoint_url: str
    table: str
    inputs_bucket: str
    outputs_bucket: str
    images_bucket: str
    library_bucket: str
    success_topic_arn: str
    errors_topic_arn: str
    results_queue_url: str
    dead_letters_queue_url: str
    sign_in: SignIn
    secret_access_key: str = SECRET_ACCESS_KEY

    def aws_environment(self) -> dict[str, str]:
        """Return the variables that make boto3 use the embedded cloud only."""
        return {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def studio_environment(
        self, *, public_url: str, cookie_secret: str, sagemaker_url: str, models: Sequence[str] = (MODEL,)
    ) -> dict[str, str]:
        """Return the complete environment of the studio and the worker (`docs/contracts.md`).

        `models` are the ids of the model cards to offer, each served by the endpoint with its name.
        """
        return {
            **self.aws_environment(),
            "AWS_ENDPOINT_URL_SAGEMAKER": sagemaker_url,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": sagemaker_url,
            "ATELIER_PUBLIC_URL": public_url,
            "ATELIER_TABLE": self.table,
            "ATELIER_INPUTS_BUCKET": self.inputs_bucket,
            "ATELIER_OUTPUTS_BUCKET": self.outputs_bucket,
            "ATELIER_IMAGES_BUCKET": self.images_bucket,
            "ATELIER_LIBRARY_BUCKET": self.library_bucket,
            "ATELIER_RESULTS_QUEUE_URL": self.results_queue_url,
            "ATELIER_ENDPOINTS": json.dumps({model: endpoint_name(model) for model in models}),
            "AUTH_MODE": "cognito",
            "ATELIER_COGNITO_POOL_ID": self.sign_in.pool_id,
            "ATELIER_COGNITO_CLIENT_ID": self.sign_in.client_id,
            "ATELIER_COGNITO_CLIENT_SECRET": self.sign_in.client_secret,
            "ATELIER_COGNITO_ISSUER": self.sign_in.issuer,
            "ATELIER_COGNITO_DISCOVERY_URL": self.sign_in.discovery_url,
            "ATELIER_COGNITO_JWKS_URL": self.sign_in.jwks_url,
            "ATELIER_COGNITO_LOGOUT_URL": self.sign_in.logout_url,
            "ATELIER_COOKIE_SECRET": cookie_secret,
        }


def endpoint_name(model: str) -> str:
    """Return the name of the local endpoint that serves a model."""
    return f"atelier-{model}"


def client_factory(endpoint_url: str) -> Client:
    """Return a function that creates boto3 clients for `endpoint_url`, one per service; none connects until used."""
    session = boto3.Session(
        aws_access_key_id=ACCESS_KEY_ID, aws_secret_access_key=SECRET_ACCESS_KEY, region_name=REGION
    )
    config = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 3})
    s3 = config.merge(Config(signature_version="s3v4", s3={"addressing_style": "path"}))

    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            make: Any = session.client
            made[service] = make(service, endpoint_url=endpoint_url, config=s3 if service == "s3" else config)
        return made[service]

    return client


def make_resources(
    endpoint_url: str,
    *,
    public_url: str,
    client: Client | None = None,
    secret_access_key: str = SECRET_ACCESS_KEY,
) -> Resources:
    """Creates missing resources and corrects the settings of existing ones; never touches existing data.

    `public_url` is the studio's public address; the sign-in client's callback and sign-out addresses are derived
    from it. Makes about 30 calls on an empty cloud. Raises ClientError when the embedded cloud refuses one.
    """
    client = client or client_factory(endpoint_url)
    _make_table(client("dynamodb"))
    _make_buckets(client("s3"))
    success, errors, queue_url, dead_letters_url = _make_messaging(client("sns"), client("sqs"))
    return Resources(
        endpoint_url=endpoint_url,
        table=TABLE,
        inputs_bucket=INPUTS_BUCKET,
        outputs_bucket=OUTPUTS_BUCKET,
        images_bucket=IMAGES_BUCKET,
        library_bucket=LIBRARY_BUCKET,
        success_topic_arn=success,
        errors_topic_arn=errors,
        results_queue_url=queue_url,
        dead_letters_queue_url=dead_letters_url,
        sign_in=make_sign_in(client("cognito-idp"), endpoint_url, public_url=public_url),
        secret_access_key=secret_access_key,
    )


def table_definition() -> dict[str, Any]:
    """Return the definition of the table and its sparse index, as `create_table` takes it (DESIGN 3)."""
    names = ("PK", "SK", "GSI1PK", "GSI1SK")
    return {
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in names],
        "KeySchema": _key("PK", "SK"),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "GSI1",
                "KeySchema": _key("GSI1PK", "GSI1SK"),
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    }


def _key(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def _make_table(dynamodb: Any) -> None:
    try:
        dynamodb.create_table(**table_definition())
    except dynamodb.exceptions.ResourceInUseException:
        pass
    else:
        dynamodb.get_waiter("table_exists").wait(
            TableName=TABLE, WaiterConfig={"Delay": 1, "MaxAttempts": 10}
        )
    expiry = dynamodb.describe_time_to_live(TableName=TABLE)["TimeToLiveDescription"]
    if expiry.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        dynamodb.update_time_to_live(
            TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
        )
    dynamodb.update_continuous_backups(
        TableName=TABLE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )


def _make_buckets(s3: Any) -> None:
    for bucket in (INPUTS_BUCKET, OUTPUTS_BUCKET, IMAGES_BUCKET, LIBRARY_BUCKET):
        try:
            s3.head_bucket(Bucket=bucket)
        except ClientError as exc:
            if exc.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
                raise
            s3.create_bucket(Bucket=bucket)
        blocked = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(blocked, True))
        s3.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [lifecycle_rule(bucket)]}
        )
    s3.put_bucket_versioning(Bucket=IMAGES_BUCKET, VersioningConfiguration={"Status": "Enabled"})


def lifecycle_rule(bucket: str) -> dict[str, Any]:
    """Return the lifecycle rule of `bucket`: working files expire, pictures move to cheaper storage."""
    rule: dict[str, Any] = {
        "ID": "age",
        "Status": "Enabled",
        "Filter": {"Prefix": EXPIRING_PREFIX.get(bucket, "")},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    if bucket in EXPIRY_DAYS:
        rule["Expiration"] = {"Days": EXPIRY_DAYS[bucket]}
    else:
        rule["Transitions"] = [{"Days": 30, "StorageClass": "STANDARD_IA"}]
    return rule


def _make_messaging(sns: Any, sqs: Any) -> tuple[str, str, str, str]:
    dead_letters_url, dead_letters_arn = _make_queue(sqs, DEAD_LETTERS_QUEUE, {})
    redrive = {
        "deadLetterTargetArn": dead_letters_arn,
        "maxReceiveCount": RECEIVES_BEFORE_DEAD_LETTER,
    }
    queue_url, queue_arn = _make_queue(
        sqs, RESULTS_QUEUE, {"VisibilityTimeout": str(VISIBILITY_S), "RedrivePolicy": json.dumps(redrive)}
    )
    topics = [sns.create_topic(Name=name)["TopicArn"] for name in (SUCCESS_TOPIC, ERRORS_TOPIC)]
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": _only_from(topics, queue_arn)})
    for topic in topics:
        # Subscribing the same queue again returns the existing subscription.
        sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": "true"}
        )
    return topics[0], topics[1], queue_url, dead_letters_url


def _make_queue(sqs: Any, name: str, attributes: Mapping[str, str]) -> tuple[str, str]:
    wanted = {"MessageRetentionPeriod": str(RETENTION_S), **attributes}
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes=wanted)
    except sqs.exceptions.QueueDoesNotExist:
        url = sqs.create_queue(QueueName=name, Attributes=wanted)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, found["Attributes"]["QueueArn"]


def _only_from(topics: list[str], queue_arn: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topics}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
