"""The license check: every installed package may be shipped, by its metadata and by its license file."""

from __future__ import annotations

import re
from importlib.metadata import Distribution
from pathlib import Path

from tools.outcome import Outcome, State, from_problems
from tools.pins import FILES, PinsError, installed, site_packages

ALLOWED = re.compile(
    r"(?:MIT|Expat|BSD|Apache|ISC|ISCL|PSF|Python[- ]|MPL|Mozilla Public|Unlicense|Zlib|HPND|CMU|0BSD|CC0|CNRI|"
    r"Public Domain|DFSG|The Unlicense|LGPL|Lesser General Public|GCC-exception|LLVM-exception|BSL-1|Boost)",
    re.IGNORECASE,
)
DENIED = re.compile(
    r"AGPL|AFFERO|SSPL|Commons Clause|(?<!L)GPL(?!.*exception)|(?<!Lesser )General Public Lic", re.I
)
# By these words a license file is known when the metadata name no license.
PHRASES = {
    "GENERAL PUBLIC LICENSE": "GPL",
    "Permission is hereby granted, free of charge": "MIT",
    "Apache License": "Apache-2.0",
    "Mozilla Public License": "MPL-2.0",
    "Redistribution and use in source and binary forms": "BSD",
}
AFFERO = re.compile(r"GNU AFFERO GENERAL PUBLIC LICENSE", re.IGNORECASE)


def license_files(dist: Distribution) -> list[str]:
    """The beginnings of the license files a package ships in its metadata folder."""
    return [
        Path(str(file.locate())).read_text(encoding="utf-8", errors="replace")[:2000]
        for file in dist.files or []
        if ".dist-info" in str(file)
        and re.match(r"(?i)licen[cs]e|copying", file.name)
        and Path(str(file.locate())).is_file()
    ]


def declared(dist: Distribution) -> list[str]:
    """What a package says its license is: expression, classifiers, free text, or the kind of its license file."""
    metadata = dist.metadata
    if "License-Expression" in metadata:
        return [metadata["License-Expression"]]
    classifiers = [
        line.rsplit("::", 1)[-1].strip()
        for line in metadata.get_all("Classifier") or []
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    if classifiers:
        return classifiers
    if "License" in metadata and metadata["License"].strip():
        return [metadata["License"].strip().splitlines()[0]]
    return [name for text in license_files(dist) for phrase, name in PHRASES.items() if phrase in text][:1]


def accepted(expression: str) -> bool:
    """Whether a license may be used: one side of an OR is enough, both sides of an AND are needed.

    An expression with both is only accepted when every part is, which is stricter than SPDX.
    """
    parts = [part.strip(" ()") for part in re.split(r"\b(?:AND|OR)\b", expression)]
    verdicts = [bool(ALLOWED.search(part)) and not DENIED.search(part) for part in parts]
    alternatives = re.search(r"\bOR\b", expression) and not re.search(r"\bAND\b", expression)
    return any(verdicts) if alternatives else all(verdicts)


def problem(name: str, dist: Distribution) -> str | None:
    """Why a package may not be shipped, or None."""
    if any(AFFERO.search(text) for text in license_files(dist)):
        return f"{name}: its license file is the Affero GPL, whatever its metadata say"
    said = declared(dist)
    if not said:
        return f"{name}: says nothing about its license, so it may not be shipped"
    refused = [expression for expression in said if not accepted(expression)]
    return f"{name}: license {', '.join(refused)} is not one we may ship" if refused else None


def licenses(root: Path) -> Outcome:
    """Every package in every environment of the project has a license that allows shipping it."""
    problems = []
    for environment in sorted({file.environment for file in FILES}):
        try:
            packages = installed(site_packages(root, environment))
        except PinsError as exc:
            return Outcome(State.FAILED, str(exc))
        found = (problem(name, dist) for name, dist in sorted(packages.items()))
        problems += [f".venvs/{environment}: {line}" for line in found if line]
    return from_problems(problems)
