"""The checks of what is installed: pins, requirements, licenses, known vulnerabilities."""

from __future__ import annotations

import re
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from local import bootstrap
from tests.tools.conftest import Plant
from tools import advisories, check, pins
from tools.outcome import State
from tools.tree import tracked

# uv, pip and pip-licenses run for real, some 40 times.
pytestmark = pytest.mark.slow

SITE = ".venvs/{}/lib/python3.11/site-packages"


def metadata(name: str, version: str, *lines: str) -> str:
    return "\n".join([f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}", *lines]) + "\n"


def install(
    plant: Plant, environment: str, name: str, version: str, *lines: str, license: str | None = None
) -> None:
    """Puts a package's metadata into an environment, as an installer leaves it."""
    folder = f"{SITE.format(environment)}/{name}-{version}.dist-info"
    files = [f"{folder.rpartition('/')[2]}/METADATA,,"]
    if license is not None:
        plant(f"{folder}/licenses/LICENSE", license)
        files.append(f"{folder.rpartition('/')[2]}/licenses/LICENSE,,")
        lines = (*lines, "License-File: LICENSE")
    plant(f"{folder}/METADATA", metadata(name, version, *lines))
    plant(f"{folder}/RECORD", "\n".join(files) + "\n")


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages, the only place that uv asks."""
    folder = tmp_path_factory.mktemp("registry")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    return folder


def publish(registry: Path, name: str, version: str, *lines: str) -> None:
    """Puts a package into the registry: a wheel with nothing but metadata."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(registry / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", metadata(name, version, *lines))
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def environments(tree: Path, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two of the environments, with a package each."""
    for name in pins.ENVIRONMENTS.keys() - {"studio", "inference"}:
        monkeypatch.delitem(pins.ENVIRONMENTS, name)
    for environment in pins.ENVIRONMENTS:
        venv.EnvBuilder(symlinks=True).create(tree / ".venvs" / environment)
        install(plant, environment, "one", "1.0", "License-Expression: MIT")
    return tree


@pytest.fixture
def compiled(environments: Path, plant: Plant, registry: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Requirements files that say what the two environments have."""
    publish(registry, "one", "1.0")
    monkeypatch.setattr(pins, "FILES", ("requirements", *pins.ENVIRONMENTS.values()))
    for name in pins.FILES:
        plant(f"{name}.in", "one==1.0  # why\n")
        plant(f"{name}.txt", pins.compiled(environments, name))
    return environments


def package_lines(text: str) -> list[str]:
    """The pins of a compiled file, without comments."""
    return [line.split("#")[0].strip() for line in text.splitlines() if not line.startswith("#")]


def test_files_that_match_the_installed_packages_pass(compiled: Path) -> None:
    outcome = check.CHECKS["pins"](compiled)
    assert outcome.state is State.OK, outcome.detail


def test_what_a_package_pulls_in_is_pinned_too(compiled: Path, plant: Plant, registry: Path) -> None:
    publish(registry, "one", "1.1", "Requires-Dist: Two>=2", 'Requires-Dist: extra; extra == "more"')
    publish(registry, "two", "2.1", 'Requires-Dist: windows-only; sys_platform == "win32"')
    plant("requirements.in", "one==1.1\n")
    outcome = check.CHECKS["pins"](compiled)
    assert outcome.state is State.FAILED
    assert "requirements.txt is out of date" in outcome.detail
    assert package_lines(pins.compiled(compiled, "requirements")) == ["one==1.1", "two==2.1"]


def test_an_extra_pulls_in_its_packages(compiled: Path, plant: Plant, registry: Path) -> None:
    publish(registry, "three", "1.0", "Provides-Extra: more", 'Requires-Dist: two; extra == "more"')
    publish(registry, "two", "2.0")
    plant("requirements.in", "three[more]==1.0\n")
    assert package_lines(pins.compiled(compiled, "requirements")) == ["three[more]==1.0", "two==2.0"]


def test_a_pin_that_is_only_pulled_in_stays_when_there_is_a_newer_one(
    compiled: Path, plant: Plant, registry: Path
) -> None:
    publish(registry, "three", "1.0", "Requires-Dist: two")
    publish(registry, "two", "2.0")
    plant("requirements.in", "three==1.0\n")
    plant("requirements.txt", pins.compiled(compiled, "requirements"))
    publish(registry, "two", "2.1")
    assert "two==2.0" in package_lines(pins.compiled(compiled, "requirements"))
    assert "two==2.1" in package_lines(pins.compiled(compiled, "requirements", "--upgrade-package", "two"))


def test_a_build_label_is_left_out(compiled: Path, plant: Plant, registry: Path) -> None:
    for name in ("filelock", "fsspec", "jinja2", "networkx", "setuptools", "sympy", "typing_extensions"):
        publish(registry, name, "100.0")
    publish(registry, "torch", "2.13.0+cpu")
    plant("inference/requirements.in", "torch==2.13.0\none==1.0\n")
    lines = package_lines(pins.compiled(compiled, "inference/requirements"))
    assert "torch==2.13.0" in lines


def test_a_registry_that_does_not_answer_is_no_fault(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_OFFLINE", "UV_NO_INDEX", "UV_FIND_LINKS"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    outcome = check.CHECKS["pins"](compiled)
    assert outcome.state is State.NOT_CHECKED, outcome.detail
    assert "the package registry does not answer" in outcome.detail


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("one==2.0", "one==2.0"),
        ("one>=1.0", "write NAME==VERSION instead of one>=1.0"),
        ("two==1.0", "two was not found"),
    ],
)
def test_a_requirement_that_cannot_be_met_is_named(
    line: str, message: str, compiled: Path, plant: Plant
) -> None:
    plant("requirements.in", line + "\n")
    outcome = check.CHECKS["pins"](compiled)
    assert outcome.state is State.FAILED
    assert message in outcome.detail


@pytest.mark.parametrize("line", ["one==2.0", "two==1.0"])
def test_an_environment_that_lacks_a_pin_is_named(
    line: str, compiled: Path, plant: Plant, registry: Path
) -> None:
    # The registry would have it: what counts is what is installed.
    publish(registry, *line.split("=="))
    plant("requirements-dev.in", line + "\n")
    plant("requirements-dev.txt", pins.compiled(compiled, "requirements-dev"))
    outcome = check.CHECKS["pins"](compiled)
    assert outcome.state is State.FAILED
    assert outcome.detail.startswith(".venvs/studio: ")
    assert line in outcome.detail
    assert ".venvs/inference" not in outcome.detail


def test_every_requirements_file_of_the_repository_is_compiled() -> None:
    names = {path.relative_to(pins.ROOT).as_posix() for path in tracked(pins.ROOT)}
    found = {name.removesuffix(".in") for name in names if re.search(r"requirements[\w-]*\.in$", name)}
    assert found == set(pins.FILES)
    assert {f"{name}.txt" for name in found} <= names
    assert set(pins.ENVIRONMENTS) == set(bootstrap.ENVIRONMENTS)
    assert all(bootstrap.ENVIRONMENTS[name].dev == f"{file}.txt" for name, file in pins.ENVIRONMENTS.items())


@pytest.fixture
def requiring(tree: Path, plant: Plant) -> Path:
    """Requirements files that name pydantic, and code that imports it where each file's packages must be used."""
    for name in pins.FILES:
        plant(f"{name}.in", "pydantic==2.14.3\n")
    for folder in ("app", "inference", "infra", "local"):
        plant(f"{folder}/one.py", f"import json\nimport pydantic\nfrom {folder} import two\n")
        plant(f"{folder}/two.py", "")
    plant("streamlit_app.py", "import pydantic\nimport app.one\n")
    return tree


def test_code_that_imports_only_required_packages_passes(requiring: Path) -> None:
    outcome = check.CHECKS["requirements"](requiring)
    assert outcome.state is State.OK, outcome.detail


@pytest.mark.parametrize(
    "path", ["app/three.py", "services/three.py", "streamlit_app.py", "inference/three.py", "tools/three.py"]
)
def test_an_import_of_a_package_that_is_only_pulled_in_fails(
    path: str, requiring: Path, plant: Plant
) -> None:
    plant(path, "import pydantic\nfrom pydantic_core import core_schema\n")
    outcome = check.CHECKS["requirements"](requiring)
    assert outcome.state is State.FAILED
    assert f"{path}:2:1: DEP003 'pydantic_core' imported but it is a transitive dependency" in outcome.detail


def test_the_studio_may_not_import_packages_of_the_embedded_cloud(requiring: Path, plant: Plant) -> None:
    plant("local/requirements.in", "pydantic==2.14.3\nministack==1.5.33\n")
    plant("local/three.py", "import ministack\n")
    assert check.CHECKS["requirements"](requiring).state is State.OK
    plant("app/three.py", "import ministack\n")
    outcome = check.CHECKS["requirements"](requiring)
    assert outcome.state is State.FAILED
    assert outcome.detail.startswith("app/three.py:1:8: DEP001 'ministack'")


def test_a_package_that_nothing_imports_fails(requiring: Path, plant: Plant) -> None:
    plant("requirements.in", "pydantic==2.14.3\nattrs==26.1.0\n")
    outcome = check.CHECKS["requirements"](requiring)
    assert outcome.state is State.FAILED
    assert "requirements.in: DEP002 'attrs' defined as a dependency but not used" in outcome.detail


def test_licenses_that_may_be_shipped_pass(environments: Path, plant: Plant) -> None:
    install(plant, "studio", "two", "1", "License-Expression: GPL-3.0-only OR MIT")
    install(plant, "studio", "three", "1", "Classifier: License :: OSI Approved :: BSD License")
    install(
        plant,
        "studio",
        "four",
        "1",
        "License-Expression: MIT AND (ISC OR GPL-2.0-only)",
    )
    # Says nothing, and is listed by hand.
    install(plant, "studio", "axe-playwright-python", "1")
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
        ([], "Copyright X\n\nPermission is hereby granted, free of charge, to"),
        (
            [
                "Classifier: License :: OSI Approved :: MIT License",
                "Classifier: License :: OSI Approved :: SSPL",
            ],
            None,
        ),
    ],
)
def test_a_license_that_may_not_be_shipped_fails(
    lines: list[str], license: str | None, environments: Path, plant: Plant
) -> None:
    install(plant, "inference", "two", "1", *lines, license=license)
    outcome = check.CHECKS["licenses"](environments)
    assert outcome.state is State.FAILED
    assert outcome.detail.startswith(".venvs/inference: two: ")


def test_a_manual_license_entry_yields_to_the_packages_own_metadata(environments: Path, plant: Plant) -> None:
    install(plant, "studio", "axe-playwright-python", "2", "License-Expression: AGPL-3.0-only")
    assert check.CHECKS["licenses"](environments).state is State.FAILED


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


def test_every_pin_of_every_environment_is_asked_about(tree: Path, plant: Plant) -> None:
    for file in pins.ENVIRONMENTS.values():
        plant(f"{file}.txt", "# A comment.\none==1.0    # via -r it.in\n")
    plant("local/requirements.txt", "one==0.9\ntwo[more]==2.0    # via one\n")
    groups = advisories.pinned_lines(tree)
    assert set().union(*groups) == {"one==1.0", "one==0.9", "two==2.0"}
    assert all(len({line.partition("==")[0] for line in group}) == len(group) for group in groups)
