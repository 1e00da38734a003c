"""The checks of what is installed: pins, licenses, known vulnerabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tools.conftest import Plant
from tools import advisories, check, pins
from tools.outcome import State

SITE = ".venvs/{}/lib/python3.11/site-packages"
LOWER = f"\n{pins.MARK}\n"


def install(
    plant: Plant, environment: str, name: str, version: str, *lines: str, license: str | None = None
) -> None:
    """Puts a package's metadata into an environment, as an installer leaves it."""
    folder = f"{SITE.format(environment)}/{name}-{version}.dist-info"
    head = [f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}", *lines]
    plant(f"{folder}/METADATA", "\n".join(head) + "\n")
    files = [f"{folder.rpartition('/')[2]}/METADATA,,"]
    if license is not None:
        plant(f"{folder}/licenses/LICENSE", license)
        files.append(f"{folder.rpartition('/')[2]}/licenses/LICENSE,,")
    plant(f"{folder}/RECORD", "\n".join(files) + "\n")


@pytest.fixture
def environments(tree: Path, plant: Plant) -> Path:
    """Five environments with a package each, and requirements files that say so."""
    for environment in ("studio", "inference", "cloud", "jumpstart", "bench"):
        install(plant, environment, "one", "1.0", "License-Expression: MIT")
    for file in pins.FILES:
        line = "one==1.0\n" if file.base is None else f"-r {Path(file.base).name}\n"
        plant(file.path, line + LOWER)
    return tree


def test_files_that_say_what_is_installed_pass(environments: Path) -> None:
    assert check.CHECKS["pins"](environments).state is State.OK


def test_what_a_package_pulls_in_is_pinned_too(environments: Path, plant: Plant) -> None:
    install(plant, "studio", "one", "1.0", "Requires-Dist: Two>=2", 'Requires-Dist: extra; extra == "more"')
    install(plant, "studio", "Two", "2.1", 'Requires-Dist: windows-only; sys_platform == "win32"')
    outcome = check.CHECKS["pins"](environments)
    assert outcome.state is State.FAILED
    assert "requirements.txt is out of date" in outcome.detail
    assert pins.render(environments, pins.FILES[0]).endswith(f"{LOWER}Two==2.1\n")


def test_an_extra_pulls_in_its_packages(environments: Path, plant: Plant) -> None:
    install(plant, "studio", "one", "1.0", "Provides-Extra: more", 'Requires-Dist: two; extra == "more"')
    install(plant, "studio", "two", "2.0")
    plant("requirements.txt", "one[more]==1.0\n" + LOWER)
    assert pins.render(environments, pins.FILES[0]).endswith(f"{LOWER}two==2.0\n")


def test_a_build_label_is_left_out(environments: Path, plant: Plant) -> None:
    install(plant, "inference", "torch", "2.13.0+cpu")
    plant("inference/requirements.txt", "torch==2.13.0\none==1.0\n" + LOWER)
    assert check.CHECKS["pins"](environments).state is State.OK


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("one==2.0", ".venvs/studio has 1.0"),
        ("one>=1.0", "write NAME==VERSION instead of one>=1.0"),
        ("two==1.0", "two is not installed in .venvs/studio"),
    ],
)
def test_a_requirement_that_is_not_met_is_named(
    line: str, message: str, environments: Path, plant: Plant
) -> None:
    plant("requirements.txt", line + "\n" + LOWER)
    outcome = check.CHECKS["pins"](environments)
    assert outcome.state is State.FAILED
    assert message in outcome.detail


def test_an_import_of_a_package_that_is_only_pulled_in_fails(environments: Path, plant: Plant) -> None:
    site = SITE.format("studio")
    install(plant, "studio", "one", "1.0", "Requires-Dist: two")
    install(plant, "studio", "two", "2.0")
    plant(f"{site}/one-1.0.dist-info/RECORD", "one/__init__.py,,\n")
    plant(f"{site}/two-2.0.dist-info/RECORD", "two/__init__.py,,\n")
    plant("app/one.py", "import json\nimport one\nfrom app import session\nfrom . import here\n")
    assert check.CHECKS["declared"](environments).state is State.OK
    plant("app/two.py", "import one\nfrom two.parts import thing\n")
    outcome = check.CHECKS["declared"](environments)
    assert outcome.state is State.FAILED
    assert outcome.detail == "app/two.py:2: two is not named in requirements.txt"


def test_licenses_that_may_be_shipped_pass(environments: Path, plant: Plant) -> None:
    install(plant, "studio", "two", "1", "License-Expression: GPL-3.0-only OR MIT")
    install(plant, "studio", "three", "1", "Classifier: License :: OSI Approved :: BSD License")
    install(
        plant,
        "studio",
        "four",
        "1",
        license="Copyright X\n\nPermission is hereby granted, free of charge, to",
    )
    outcome = check.CHECKS["licenses"](environments)
    assert outcome.state is State.OK, outcome.detail


@pytest.mark.parametrize(
    ("lines", "license"),
    [
        (["License-Expression: AGPL-3.0-or-later"], None),
        (["License-Expression: GPL-2.0-only"], None),
        (["License-Expression: MIT AND GPL-3.0-only"], None),
        (["Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)"], None),
        (["License: SSPL"], None),
        (["License: All rights reserved"], None),
        (["License-Expression: MIT"], "GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3"),
        ([], None),
        ([], "GNU GENERAL PUBLIC LICENSE"),
    ],
)
def test_a_license_that_may_not_be_shipped_fails(
    lines: list[str], license: str | None, environments: Path, plant: Plant
) -> None:
    install(plant, "inference", "two", "1", *lines, license=license)
    outcome = check.CHECKS["licenses"](environments)
    assert outcome.state is State.FAILED
    assert outcome.detail.startswith(".venvs/inference: two: ")


CANARY = {"name": "django", "version": "3.2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.2.1"]}]}
CLEAN = {"name": "one", "version": "1.0", "vulns": []}


@pytest.mark.parametrize(
    ("answers", "state", "detail"),
    [
        ([CANARY, CLEAN], State.OK, ""),
        ([{"name": "django", "skip_reason": "unknown"}, CLEAN], State.NOT_CHECKED, "1 pins not looked up"),
        ([], State.NOT_CHECKED, "no vulnerability service answers"),
        ([CANARY, {"name": "one", "skip_reason": "unknown"}], State.FAILED, "one: was skipped (unknown)"),
        (
            [CANARY, CLEAN | {"vulns": [{"id": "PYSEC-2", "fix_versions": ["1.1"]}]}],
            State.FAILED,
            "one 1.0: PYSEC-2, fixed in 1.1",
        ),
    ],
)
def test_advisories_are_believed_only_when_the_known_vulnerable_package_is_found(
    answers: list[dict[str, Any]], state: State, detail: str
) -> None:
    outcome = advisories.judge(answers)
    assert outcome.state is state
    assert detail in outcome.detail


def test_every_pin_of_every_file_is_asked_about(environments: Path, plant: Plant) -> None:
    plant("local/requirements.txt", "one==0.9\ntwo==2.0\n")
    groups = advisories.pins(environments)
    assert set().union(*groups) == {"one==1.0", "one==0.9", "two==2.0"}
    assert all(len({line.partition("==")[0] for line in group}) == len(group) for group in groups)
