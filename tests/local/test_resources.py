"""Tests of the embedded cloud's resources: complete, named as in the contract, and created only once."""

from __future__ import annotations

import dataclasses
import json

from local.resources import IMAGES_BUCKET, RESULTS_QUEUE, Resources
from services.settings import load_settings
from tests.cloud import EmbeddedCloud


def test_creating_the_resources_again_changes_nothing(cloud: EmbeddedCloud, resources: Resources) -> None:
    assert cloud.make_resources() == resources
    subscriptions = cloud.client("sns").list_subscriptions()["Subscriptions"]
    assert len(subscriptions) == 2


def test_the_settings_accept_the_environment_built_from_the_resources(environment: dict[str, str]) -> None:
    settings = load_settings(environment)
    assert settings.images_bucket == IMAGES_BUCKET
    assert settings.endpoints == {"pocket": "atelier-pocket"}


def test_the_callback_follows_the_studio_to_a_new_address(cloud: EmbeddedCloud, resources: Resources) -> None:
    moved = cloud.make_resources("http://localhost:9999")
    client = cloud.client("cognito-idp").describe_user_pool_client(
        UserPoolId=resources.sign_in.pool_id, ClientId=resources.sign_in.client_id
    )["UserPoolClient"]
    assert client["CallbackURLs"] == ["http://localhost:9999/oauth2callback"]
    assert client["LogoutURLs"] == ["http://localhost:9999/"]
    assert dataclasses.asdict(moved) == dataclasses.asdict(resources)


def test_a_message_received_five_times_moves_to_the_dead_letter_queue(
    cloud: EmbeddedCloud, resources: Resources
) -> None:
    sns, sqs = cloud.client("sns"), cloud.client("sqs")
    sns.publish(TopicArn=resources.success_topic_arn, Message=json.dumps({"hello": 1}))
    for _ in range(5):
        received = sqs.receive_message(QueueUrl=resources.results_queue_url, VisibilityTimeout=0)
        # Raw delivery: the body is the message itself, without the SNS envelope.
        assert json.loads(received["Messages"][0]["Body"]) == {"hello": 1}
    assert not sqs.receive_message(QueueUrl=resources.results_queue_url).get("Messages")
    dead = sqs.receive_message(QueueUrl=resources.dead_letters_queue_url)
    assert json.loads(dead["Messages"][0]["Body"]) == {"hello": 1}
    assert RESULTS_QUEUE in resources.results_queue_url
