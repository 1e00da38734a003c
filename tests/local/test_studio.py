"""The environments of the studio's processes on a laptop."""

from __future__ import annotations

import pytest

from local.studio import OptionUnusable, base_environment, read_concurrency


def test_four_requests_go_to_the_model_server_at_once_unless_it_is_said_otherwise() -> None:
    assert read_concurrency({}) == 4
    assert read_concurrency({"ATELIER_DISPATCH_CONCURRENCY": "2"}) == 2


@pytest.mark.parametrize("text", ["0", "-1", "1001", "many", "1.5"])
def test_a_concurrency_that_cannot_be_is_named(text: str) -> None:
    with pytest.raises(OptionUnusable, match="ATELIER_DISPATCH_CONCURRENCY must be a number"):
        read_concurrency({"ATELIER_DISPATCH_CONCURRENCY": text})


def test_the_model_servers_variables_pass_and_what_could_reach_a_real_account_does_not() -> None:
    given = {"INFERENCE_NSFW_THRESHOLD": "off", "AWS_PROFILE": "work", "AWS_ACCESS_KEY_ID": "x"}
    kept = base_environment(given)
    assert kept["INFERENCE_NSFW_THRESHOLD"] == "off"
    assert "AWS_PROFILE" not in kept and "AWS_ACCESS_KEY_ID" not in kept
