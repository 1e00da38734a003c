"""Every check of `python -m tools.check` passes on a clean tree and fails on what it is there to find."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tools.conftest import Plant
from tools import check
from tools.outcome import Outcome, State

# A secret must not stand here in one piece either.
KEY = "AKIA" + "IOSFODNN7" + "EXAMPLE"
BODY = "".join(f"    total += values[{n}] * {n}\n" for n in range(9))
COPIED = (
    f"\n\ndef add(values: list[int]) -> int:\n    total = 0\n{BODY}    return total\n\n\nprint(add([]))\n"
)

FAULTS: dict[str, list[tuple[str, str]]] = {
    "format": [("app/one.py", '"""One."""\n\nx = { "a":1 }\n')],
    "lint": [("app/one.py", '"""One."""\n\nimport os\n')],
    "types": [("services/one.py", '"""One."""\n\n\ndef half(n: int) -> int:\n    return n / 2\n')],
    "dead code": [("services/one.py", '"""One."""\n\n\ndef never_called() -> None:\n    return None\n')],
    "duplicates": [("app/one.py", '"""One."""' + COPIED), ("services/two.py", '"""Two."""' + COPIED)],
    "long files": [("app/one.py", '"""One."""\n' + "x = 1\n" * 400)],
    "machine paths": [("docs/one.md", "see /" + "root/notes\n")],
    "registry hosts": [("docs/one.md", "from https://pypi." + "org/simple\n")],
    "secrets": [("app/one.py", f'"""One."""\n\nKEY = "{KEY}"\n')],
    "texts": [("app/one.py", '"""One."""\n\nst.button("Save all")\n')],
}
API = "the API never meets Streamlit or a page"
FLOORS = "the app by floors, each knows only those below"
PIECES = "pieces of pages: what several pages show is below"
LAYERS = "services by domain, each knows only those below"
PROTOCOL_ONLY = "jobs know back ends by their protocol only"
# The contract that each import breaks, the file that it is planted in, and the import.
IMPORTS = {
    "services import the app": (
        "services stand on nothing else of ours",
        "services/jobs/one.py",
        "import app",
    ),
    "the app imports inference": (
        "the app stands on services only",
        "app/ui/common/one.py",
        "import inference",
    ),
    "the app imports the laptop's AWS": (
        "the app stands on services only",
        "app/ui/common/one.py",
        "import local",
    ),
    "inference imports services": (
        "the model container stands alone",
        "inference/one.py",
        "from services import records",
    ),
    "the laptop's AWS imports the app": (
        "what AWS is on a laptop knows neither the pages nor the model",
        "local/one.py",
        "import app",
    ),
    "a service imports boto3": (
        "only services.aws, local and inference talk to AWS",
        "services/jobs/one.py",
        "import boto3",
    ),
    "the app imports botocore": (
        "only services.aws, local and inference talk to AWS",
        "app/ui/common/one.py",
        "import botocore.config",
    ),
    "a domain imports the table": (
        "only services.store and the wiring touch the table",
        "services/images/one.py",
        "from services.aws import table",
    ),
    "a domain imports a write of the table": (
        "only services.store and the wiring touch the table",
        "services/jobs/one.py",
        "from services.aws.table import Update",
    ),
    "a service imports Streamlit": (
        "services know neither Streamlit nor a web framework",
        "services/jobs/one.py",
        "import streamlit",
    ),
    "a service imports FastAPI": (
        "services know neither Streamlit nor a web framework",
        "services/jobs/one.py",
        "from fastapi import FastAPI",
    ),
    "jobs import the container's JSON": (
        PROTOCOL_ONLY,
        "services/jobs/one.py",
        "from services.backends import container_contract",
    ),
    "jobs import SageMaker's back end": (
        PROTOCOL_ONLY,
        "services/jobs/one.py",
        "from services.backends import sagemaker_async",
    ),
    "jobs import the endpoints of AWS": (
        PROTOCOL_ONLY,
        "services/jobs/one.py",
        "from services.aws import endpoints",
    ),
    "jobs import the container's progress object": (
        PROTOCOL_ONLY,
        "services/jobs/one.py",
        "from services.backends import progress",
    ),
    "the API imports Streamlit": (API, "app/api/one.py", "import streamlit"),
    "the API imports the pages' pieces": (API, "app/api/one.py", "from app.ui import common"),
    "what a session keeps imports a piece of a page": (FLOORS, "app/state/one.py", "from app import ui"),
    "a language imports the sign-in": (FLOORS, "app/i18n/one.py", "from app import auth"),
    "a page imports another door": (FLOORS, "app/pages/one.py", "from app import share_page"),
    "a room of the app without a floor": (FLOORS, "app/attic/__init__.py", "ATTIC = 1"),
    "a piece of all pages imports one of a page": (
        PIECES,
        "app/ui/common/one.py",
        "from app.ui import create",
    ),
    "the viewer imports the form": (PIECES, "app/ui/viewer/one.py", "from app.ui import create"),
    "the AWS edge imports a domain": (LAYERS, "services/aws/one.py", "from services import jobs"),
    "the store imports a domain": (LAYERS, "services/store/one.py", "from services import jobs"),
    "two domains of one layer import each other": (
        LAYERS,
        "services/billing/one.py",
        "from services import images",
    ),
    "a room without a layer": (LAYERS, "services/attic/__init__.py", "ATTIC = 1"),
}
ALLOWED_IMPORTS = {
    "the AWS edge imports boto3 and errors": (
        "services/aws/one.py",
        "import boto3\nfrom services import errors",
    ),
    "the app imports services and Streamlit": (
        "app/ui/common/one.py",
        "import streamlit\nfrom services import errors",
    ),
    "the laptop's AWS imports boto3": ("local/one.py", "import boto3"),
    "a domain imports a store": ("services/images/one.py", "from services.store import albums"),
    "inference imports boto3": ("inference/one.py", "import boto3"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_check_passes_on_a_clean_tree_and_fails_on_a_planted_fault(
    name: str, tree: Path, plant: Plant
) -> None:
    before = check.CHECKS[name](tree)
    assert before.state is State.OK, before.detail
    for path, text in FAULTS[name]:
        plant(path, text)
    after = check.CHECKS[name](tree)
    assert after.state is State.FAILED
    assert FAULTS[name][0][0] in after.detail


@pytest.mark.parametrize("case", IMPORTS)
def test_an_import_against_a_rule_breaks_that_rule_alone(case: str, tree: Path, plant: Plant) -> None:
    contract, path, line = IMPORTS[case]
    plant(path, f'"""Planted."""\n\n{line}\n')
    outcome = check.CHECKS["imports"](tree)
    assert outcome.state is State.FAILED
    assert broken(outcome.detail) == [contract]


def test_errors_may_not_know_a_service_nor_their_neighbors(tree: Path, plant: Plant) -> None:
    plant("services/records/one.py", '"""Planted."""\n\nfrom services import errors\n')
    outcome = check.CHECKS["imports"](tree)
    assert set(broken(outcome.detail)) == {"errors and records know no service", LAYERS}


def test_the_api_may_not_meet_streamlit_by_way_of_another_room(tree: Path, plant: Plant) -> None:
    plant("app/i18n/one.py", '"""Planted."""\n\nimport streamlit\n')
    plant("app/api/two.py", '"""Planted."""\n\nfrom app.i18n import one\n')
    outcome = check.CHECKS["imports"](tree)
    assert broken(outcome.detail) == [API]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("app.state.one", "app.state.two"),
        ("services.jobs.one", "services.jobs.two"),
        ("local.one", "local.two"),
    ],
)
def test_what_imports_each_other_is_a_circle(one: str, other: str, tree: Path, plant: Plant) -> None:
    for importer, imported in ((one, other), (other, one)):
        module = importer.replace(".", "/")
        package, _, name = imported.rpartition(".")
        file = f"{module}/three.py" if (tree / module).is_dir() else f"{module}.py"
        plant(file, f'"""Planted."""\n\nfrom {package} import {name}\n')
    outcome = check.CHECKS["imports"](tree)
    assert broken(outcome.detail) == ["no circles"]


CIRCLES = {
    "two modules of a room": {
        "inference/pipelines/one.py": "from inference.pipelines import two",
        "inference/pipelines/two.py": "from inference.pipelines import one",
    },
    "a room and a module above it": {
        "inference/one.py": "from inference.pocket import two",
        "inference/pocket/two.py": "from inference import one",
    },
}


@pytest.mark.parametrize("case", CIRCLES)
def test_a_circle_in_the_model_container_is_found(case: str, tree: Path, plant: Plant) -> None:
    first, *others = CIRCLES[case].items()
    for path, line in others:
        plant(path, f'"""Planted."""\n\n{line}\n')
    plant(first[0], '"""Planted."""\n')
    one_way = check.CHECKS["imports"](tree)
    assert one_way.state is State.OK, one_way.detail

    plant(first[0], f'"""Planted."""\n\n{first[1]}\n')
    outcome = check.CHECKS["imports"](tree)

    assert outcome.state is State.FAILED
    assert broken(outcome.detail) == ["no circles in the model container"]


def broken(report: str) -> list[str]:
    """The names of the contracts that import-linter reports as broken."""
    return re.findall(r"^(.*\S) +BROKEN$", report, re.MULTILINE)


@pytest.mark.parametrize("case", ALLOWED_IMPORTS)
def test_an_import_within_the_rule_passes(case: str, tree: Path, plant: Plant) -> None:
    path, line = ALLOWED_IMPORTS[case]
    plant(path, line + "\n")
    outcome = check.CHECKS["imports"](tree)
    assert outcome.state is State.OK, outcome.detail


PRIVATE_PARTS = [
    "from streamlit.runtime.scriptrunner import get_script_run_ctx as used",
    "import streamlit.proto.ForwardMsg_pb2 as used",
    "from streamlit import config as used",
    "from streamlit.navigation.page import StreamlitPage as used",
    "from streamlit.delta_generator import DeltaGenerator as used",
    "from streamlit.web import server as used",
    "import streamlit as st\n\nused = st.runtime",
    "import streamlit as st\n\nused = st._main",
]


@pytest.mark.parametrize("line", PRIVATE_PARTS)
def test_private_parts_of_streamlit_are_used_in_one_room_only(line: str, tree: Path, plant: Plant) -> None:
    text = f'"""Planted."""\n\n{line}\n\nEXPORTED = [used]\n'
    plant("app/ui/common/one.py", text)
    plant("app/streamlit_internals/two.py", text)
    outcome = check.CHECKS["lint"](tree)
    assert outcome.state is State.FAILED
    assert "app/ui/common/one.py" in outcome.detail
    assert re.search("TID251|SLF001", outcome.detail)
    assert "two.py" not in outcome.detail


def test_public_parts_of_streamlit_are_used_anywhere(tree: Path, plant: Plant) -> None:
    lines = (
        "import streamlit as st",
        "from streamlit.errors import Error",
        "from streamlit.typing import UploadedFile",
        "",
        "EXPORTED = [st.navigation, st.Page, st.components.v2, st.column_config, Error, UploadedFile]",
    )
    plant("app/ui/common/one.py", '"""Planted."""\n\n' + "\n".join(lines) + "\n")
    outcome = check.CHECKS["lint"](tree)
    assert "TID251" not in outcome.detail and "SLF001" not in outcome.detail


def test_a_secret_is_found_and_not_printed(tree: Path, plant: Plant) -> None:
    plant("app/one.py", f'KEY = "{KEY}"\n')
    outcome = check.CHECKS["secrets"](tree)
    assert outcome.state is State.FAILED
    assert KEY not in outcome.detail


def test_fields_of_a_record_are_not_dead_code(tree: Path, plant: Plant) -> None:
    plant("services/one.py", '"""One."""\n\n\nclass Point:\n    x: int\n    y: int = 0\n\n\nprint(Point)\n')
    outcome = check.CHECKS["dead code"](tree)
    assert outcome.state is State.OK, outcome.detail


def test_files_that_git_ignores_are_not_looked_at(tree: Path, plant: Plant) -> None:
    plant(".gitignore", "/build/\n")
    plant("build/one.md", "see /" + "root/notes\n")
    assert check.CHECKS["machine paths"](tree).state is State.OK


def test_types_of_the_model_container_need_its_environment(tree: Path) -> None:
    outcome = check.CHECKS["inference types"](tree)
    assert outcome.state is State.FAILED
    assert "local/bootstrap.py" in outcome.detail


def test_every_check_is_shown_to_fail_by_a_test() -> None:
    elsewhere = {"imports", "inference types", "advisories", "licenses", "pins", "requirements"}
    assert set(check.CHECKS) == set(FAULTS) | elsewhere


@pytest.mark.parametrize(
    ("state", "strict", "good"),
    [
        (State.OK, False, True),
        (State.FAILED, False, False),
        (State.NOT_CHECKED, False, True),
        (State.NOT_CHECKED, True, False),
    ],
)
def test_the_run_is_good_unless_a_check_failed(
    state: State,
    strict: bool,
    good: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        check,
        "CHECKS",
        {"one": lambda root: Outcome(state, "the reason"), "two": lambda root: Outcome(State.OK)},
    )
    assert check.run(["one", "two"], Path(), strict=strict) is good
    printed = capsys.readouterr().out
    assert f"{state}" in printed
    assert "the reason" in printed
