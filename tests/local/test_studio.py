"""Tests of the environments that the launcher gives to the studio's processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.home import Home
from local.resources import Resources
from local.sagemaker.config import load
from local.studio import (
    DEFAULTS,
    POCKET,
    Layout,
    OptionUnusable,
    base_environment,
    read_concurrency,
    read_local_models,
    sagemaker_config,
    studio_environment,
)
from services.settings import load_settings


def test_the_dispatch_concurrency_defaults_to_four() -> None:
    assert read_concurrency({}) == 4
    assert read_concurrency({"ATELIER_DISPATCH_CONCURRENCY": "2"}) == 2


@pytest.mark.parametrize("text", ["0", "-1", "1001", "many", "1.5"])
def test_an_invalid_concurrency_is_refused(text: str) -> None:
    with pytest.raises(OptionUnusable, match="ATELIER_DISPATCH_CONCURRENCY must be a number"):
        read_concurrency({"ATELIER_DISPATCH_CONCURRENCY": text})


def test_the_model_servers_variables_are_passed_on_and_aws_credentials_are_not() -> None:
    given = {"INFERENCE_NSFW_THRESHOLD": "off", "AWS_PROFILE": "work", "AWS_ACCESS_KEY_ID": "x"}
    kept = base_environment(given)
    assert kept["INFERENCE_NSFW_THRESHOLD"] == "off"
    assert "AWS_PROFILE" not in kept and "AWS_ACCESS_KEY_ID" not in kept


def test_only_pocket_is_offered_by_default() -> None:
    assert read_local_models({}) == {"pocket": POCKET}


@pytest.mark.parametrize(
    "text", ["sd-turbo", "[]", '{"sd-turbo": 1}', pytest.param("[" * 100_000, id="nested")]
)
def test_local_models_that_are_not_a_map_of_folders_are_refused(text: str) -> None:
    with pytest.raises(OptionUnusable, match="ATELIER_LOCAL_MODELS must be a JSON object"):
        read_local_models({"ATELIER_LOCAL_MODELS": text})


def test_a_local_model_without_a_card_is_refused_by_name() -> None:
    with pytest.raises(OptionUnusable, match=r"no card in cards\.toml for model no-such"):
        read_local_models({"ATELIER_LOCAL_MODELS": json.dumps({"no-such": str(POCKET)})})


def test_a_folder_without_a_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(OptionUnusable, match=f"sd-turbo has no model_index.json: {tmp_path}"):
        read_local_models({"ATELIER_LOCAL_MODELS": json.dumps({"sd-turbo": str(tmp_path)})})


def test_each_local_model_has_an_endpoint_that_the_studio_offers(
    tmp_path: Path, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH_MODE", "local")
    models = read_local_models({"ATELIER_LOCAL_MODELS": json.dumps({"sd-turbo": str(POCKET)})})
    home = Home(tmp_path / "home")
    layout = Layout(home, 8501, {"cloud": 9501, "sagemaker": 10501, "inference": 11501}, DEFAULTS, models)
    written = home.write_config("sagemaker.json", sagemaker_config(layout, resources))
    endpoints = {endpoint.name: endpoint.model_dir for endpoint in load(written).endpoints}
    assert endpoints == {"atelier-pocket": POCKET, "atelier-sd-turbo": POCKET}

    offered = load_settings(studio_environment(layout, resources)).endpoints
    assert offered == {"pocket": "atelier-pocket", "sd-turbo": "atelier-sd-turbo"}
    assert set(offered.values()) == set(endpoints)


def test_the_launchers_variables_are_not_passed_to_the_studio() -> None:
    assert (
        base_environment({"ATELIER_LOCAL_MODELS": "{}", "ATELIER_SNAPSHOT_S": "5"})
        .keys()
        .isdisjoint({"ATELIER_LOCAL_MODELS", "ATELIER_SNAPSHOT_S"})
    )
