"""The embedded cloud's resources: complete, as the contract names them, and made only once."""

from __future__ import annotations

import dataclasses
import json

from local.resources import IMAGES_BUCKET, RESULTS_QUEUE, Resources
from services.settings import load_settings
from tests.cloud import EmbeddedCloud


def test_making_the_resources_again_changes_nothing(cloud: EmbeddedCloud, resources: Resources) -> None:
    assert cloud.make_resources() == resources
    subscriptions = cloud.client("sns").list_subscriptions()["Subscriptions"]
    assert len(subscriptions) == 2


def test_the_environment_made_of_them_is_accepted_by_the_settings(environment: dict[str, str]) -> None:
    settings = load_settings(environment)
    assert settings.images_bucket == IMAGES_BUCKET
    assert settings.endpoints == {"pocket": "atelier-pocket"}


def test_a_moved_studio_gets_its_own_callback(cloud: EmbeddedCloud, resources: Resources) -> None:
    moved = cloud.make_resources("http://localhost:9999")
    client = cloud.client("cognito-idp").describe_user_pool_client(
        UserPoolId=resources.sign_in.pool_id, ClientId=resources.sign_in.client_id
    )["UserPoolClient"]
    assert client["CallbackURLs"] == ["http://localhost:9999/oauth2callback"]
    assert client["LogoutURLs"] == ["http://localhost:9999/"]
    assert dataclasses.asdict(moved) == dataclasses.asdict(resources)


def test_a_message_received_five_times_goes_to_the_dead_letters(
    cloud: EmbeddedCloud, resources: Resources
) -> None:
    sns, sqs = cloud.client("sns"), cloud.client("sqs")
    sns.publish(TopicArn=resources.success_topic_arn, Message=json.dumps({"hello": 1}))
    for _ in range(5):
        received = sqs.receive_message(QueueUrl=resources.results_queue_url, VisibilityTimeout=0)
        # Raw delivery: the body is the message itself, without SNS's envelope.
        assert json.loads(received["Messages"][0]["Body"]) == {"hello": 1}
    assert not sqs.receive_message(QueueUrl=resources.results_queue_url).get("Messages")
    dead = sqs.receive_message(QueueUrl=resources.dead_letters_queue_url)
    assert json.loads(dead["Messages"][0]["Body"]) == {"hello": 1}
    assert RESULTS_QUEUE in resources.results_queue_url
