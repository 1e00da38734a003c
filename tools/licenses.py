"""The license check: every installed package, as read by pip-licenses, has a license that permits shipping it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from license_expression import ExpressionError, Licensing

from tools.outcome import Outcome, State, from_problems
from tools.pins import ENVIRONMENTS, python

# SPDX identifiers and the names in older metadata. Anything else is refused: AGPL, GPL, SSPL, no license.
ALLOWED = frozenset(
    (
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "ISC"),
        *("LGPL-2.1", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Unlicense", "Zlib"),
        "3-Clause BSD License",
        "Apache 2.0 License",
        "Apache License 2.0",
        "Apache Software License",
        "Apache-2.0 WITH LLVM-exception",
        "BSD License",
        "DFSG approved",
        "ISC License (ISCL)",
        "MIT License",
        "Mozilla Public License 2.0 (MPL 2.0)",
        "Python Software Foundation License",
    )
)
# Their metadata state no license; these come from their repositories.
BY_HAND = {"axe-playwright-python": "MIT", "crawler-user-agents": "MIT", "resvg_py": "MIT"}
# Metadata can be wrong, so a license file with this title wins. (Others only mention it, as the GPL does.)
AFFERO = re.compile(r"GNU\s+AFFERO\s+GENERAL\s+PUBLIC\s+LICENSE\s+VERSION\s+3", re.IGNORECASE)
LICENSING = Licensing()


def accepted(said: str) -> bool:
    """Whether a license is acceptable: one side of an OR suffices, an AND needs both."""
    if said in ALLOWED:
        return True
    try:
        return _holds(LICENSING.parse(said))
    except ExpressionError:
        return False


def _holds(expression: object) -> bool:
    arguments = getattr(expression, "args", ())
    if isinstance(expression, LICENSING.AND):
        return all(map(_holds, arguments))
    if isinstance(expression, LICENSING.OR):
        return any(map(_holds, arguments))
    return str(expression) in ALLOWED


def problem(name: str, said: str, text: str) -> str | None:
    """Return why a package may not be shipped, or None. `said` is one license, or several separated by `; `."""
    if AFFERO.search(text):
        return f"{name}: its license file is the Affero GPL, whatever its metadata say"
    if said == "UNKNOWN":
        said = BY_HAND.get(name, said)
    refused = [license for license in said.split("; ") if not accepted(license)]
    return f"{name}: license {', '.join(refused)} is not one we may ship" if refused else None


def licenses(root: Path) -> Outcome:
    """Every package in every environment of the project has a license that allows shipping it."""
    problems = []
    for environment in ENVIRONMENTS:
        interpreter = python(root, environment)
        if interpreter is None:
            return Outcome(
                State.FAILED,
                f"there is no environment .venvs/{environment}: `python3 local/bootstrap.py --dev` makes it",
            )
        options = ["--from=mixed", "--format=json", "--with-license-file", "--no-license-path"]
        done = subprocess.run(
            [sys.executable, "-m", "piplicenses", f"--python={interpreter}", *options],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            return Outcome(State.FAILED, f".venvs/{environment}: pip-licenses: {done.stderr.strip()}")
        found = (
            problem(package["Name"], package["License"], package["LicenseText"])
            for package in json.loads(done.stdout)
        )
        problems += [f".venvs/{environment}: {line}" for line in found if line]
    return from_problems(problems)
