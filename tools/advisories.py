"""The vulnerability check: pip-audit over every pin, where a pin that was skipped counts as a failure.

pip-audit also reports "no known vulnerabilities" when its service knew none of the packages. Each run therefore also
queries a package with long-known vulnerabilities: the result is trusted only if those are found.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tools.outcome import Outcome, State, from_problems
from tools.pins import ENVIRONMENTS, pins

CANARY_NAME, CANARY_VERSION = "django", "3.2.0"
TIME_LIMIT_S = 80


def pinned_lines(root: Path) -> list[set[str]]:
    """Return all pinned `name==version` lines, in groups without repeated packages (pip-audit refuses those)."""
    groups: list[dict[str, str]] = []
    for file in ENVIRONMENTS.values():
        for name, version in pins(root, file):
            line = f"{name}=={version}"
            group = next((g for g in groups if g.get(name, line) == line), None)
            if group is None:
                groups.append(group := {})
            group[name] = line
    return [set(group.values()) for group in groups]


def ask(lines: set[str]) -> list[dict[str, Any]]:
    """Return the answer of pip-audit's service for each line, or nothing if it is unreachable."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pins.txt"
        path.write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8")
        options = [
            "--no-deps",
            "--disable-pip",
            "--format",
            "json",
            "--progress-spinner",
            "off",
            "--timeout",
            "10",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", "-r", str(path), *options],
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    try:
        answer: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    except ValueError:
        return []
    return answer["dependencies"]


def judge(answers: list[dict[str, Any]]) -> Outcome:
    """Return the outcome of pip-audit's answers, including the canary's."""
    ours = [answer for answer in answers if answer["name"] != CANARY_NAME]
    if not any(answer["name"] == CANARY_NAME and answer.get("vulns") for answer in answers):
        reason = f"no vulnerability service answers from here; {len(ours)} pins not looked up"
        return Outcome(State.NOT_CHECKED, reason)
    problems = [
        f"{answer['name']}: was skipped ({answer['skip_reason']})"
        for answer in ours
        if "skip_reason" in answer
    ]
    problems += [
        f"{answer['name']} {answer['version']}: {vulnerability['id']}"
        + (f", fixed in {', '.join(vulnerability['fix_versions'])}" if vulnerability["fix_versions"] else "")
        for answer in ours
        for vulnerability in answer.get("vulns", [])
    ]
    return from_problems(problems)


def advisories(root: Path) -> Outcome:
    """No pinned package has a known vulnerability. Queries pip-audit's service over the network."""
    answers: list[dict[str, Any]] = []
    try:
        for group in pinned_lines(root):
            answers += ask(group | {f"{CANARY_NAME}=={CANARY_VERSION}"})
    except subprocess.TimeoutExpired:
        return Outcome(State.NOT_CHECKED, f"the vulnerability service did not answer within {TIME_LIMIT_S} s")
    return judge(answers)
