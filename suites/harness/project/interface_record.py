# SPDX-License-Identifier: GPL-2.0-or-later
"""The stable interface: what it is now, what it was in the last release, and what is missing without a warning.

    python -m suites.harness.project.interface_record VERSION

records the present one in interface.json, at the release of that version (CONTRIBUTING.md).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import guests.plugin
import kconfigs.plugin
import kconform
import reports.run.options
import suites.coverage.plugin
import suites.live_guests
import suites.races.plugin
import suites.reproducers
import suites.walks.plugin
from common.deprecation import DEPRECATIONS, Deprecation
from common.versions import parse_version
from kconfigs import flavors, profile
from reports.history import history_file
from reports.judgement import exit_status, waivers
from reports.model import requirements
from reports.model import schema as results_schema
from reports.model.report_directory import DERIVED, EVIDENCE, RESULTS
from reports.model.result import SCHEMA, STATUSES, VERDICTS
from suites.harness.checkout import ROOT

RECORD = Path(__file__).with_name("interface.json")
PLUGINS = (
    *(guests.plugin, kconfigs.plugin, suites.live_guests, suites.reproducers),
    *(suites.walks.plugin, suites.races.plugin, suites.coverage.plugin),
)
OWN_COMMANDS = (
    *("mutants", "coverage", "bench", "bench-selftest", "soak", "sweep"),
    *("hosts", "container", "debian-package", "site"),
)
"""Commands for those who change the project.  They change with it."""
OTHERS_MARKS = {
    *("filterwarnings", "skip", "skipif", "xfail", "parametrize", "usefixtures", "tryfirst", "trylast"),
    *("hypothesis", "pytester_example_path", "xdist_group"),
}
"""Marks of pytest and its plugins."""

Names = dict[str, list[str]]


def interface(marks: Iterable[str]) -> dict[str, Any]:
    """The present one.  `names` are what may be added and not removed; `schemas` also have types."""
    names: Names = {
        "option": _options(),
        "command": _commands(),
        "mark": [mark for mark in marks if mark not in OTHERS_MARKS],
        "exit status": [
            f"{getattr(exit_status, name)} {name}"
            for name in ("HELD", "BROKEN", "INTERRUPTED", "UNDETERMINED", "WRONG_USE", "NOTHING_RAN")
        ],
        "outcome": list(VERDICTS),
        "status": list(STATUSES),
        "promise": list(requirements.load(ROOT / "suites")),
        "flavor": list(flavors.FLAVORS),
        "profile": list(profile.shipped()),
        "file": [RESULTS, EVIDENCE, *DERIVED],
        "waiver key": [*waivers.REQUIRED, *waivers.OPTIONAL],
    }
    schemas = {
        RESULTS: (SCHEMA, results_schema.schema()),
        "history.json": (history_file.HISTORY_SCHEMA, history_file.schema()),
    }
    return {
        "names": {kind: sorted(set(some)) for kind, some in names.items()},
        "schemas": {
            file: {"version": version, "properties": dict(sorted(properties(schema, schema).items()))}
            for file, (version, schema) in schemas.items()
        },
    }


class _Collected:
    """Stands for pytest's parser, and keeps the options that a plugin adds."""

    def __init__(self) -> None:
        self.parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)

    def getgroup(self, *_: object) -> _Collected:
        return self

    def addoption(self, *names: str, **attributes: Any) -> None:
        self.parser.add_argument(*names, **attributes)


def _options() -> list[str]:
    collected: Any = _Collected()
    for plugin in PLUGINS:
        plugin.pytest_addoption(collected)
    reports.run.options.add(collected)
    return _spelled(collected.parser)


def _spelled(parser: argparse.ArgumentParser) -> list[str]:
    """Each option as `--flag`, `--value=` or, with choices, `--value=choice`; and each argument as `argument 1`."""
    found = []
    for action in parser._actions:
        if action.dest == "help" or action.help == argparse.SUPPRESS:
            continue
        for name in action.option_strings:
            if name.startswith("--"):
                choices = list(action.choices or ())
                found += [name] if action.nargs == 0 else [f"{name}={choice}" for choice in choices or [""]]
    arguments = [action for action in parser._actions if not action.option_strings]
    return found + [f"argument {number}" for number in range(1, len(arguments) + 1)]


def _commands() -> list[str]:
    """Each command, and each with its options and arguments: `diff`, `diff argument 1`, `diff --format=text`."""
    (choices,) = [action.choices for action in kconform.parser()._actions if isinstance(action.choices, dict)]
    found = []
    for name, parser in choices.items():
        if name in OWN_COMMANDS:
            continue
        own = _helped(name) if parser.get_default("own_parser") else _spelled(parser)
        found += [name, *(f"{name} {each}" for each in own)]
    return found


def _helped(command: str) -> list[str]:
    """The options of a command with a parser of its own, as its help lists them."""
    if command == "requirements":  # its options are pytest's
        return []
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        kconform.main([command, "--help"])
    found = re.findall(r"^ +(--[\w-]+)( [A-Z{])?", shown.getvalue(), re.MULTILINE)
    return [f"{name}=" if value else name for name, value in found]


def properties(part: Mapping[str, Any], schema: Mapping[str, Any], path: str = "") -> dict[str, str]:
    """Each place in a file that fits the schema, such as `results[].repetition.of`, and what may be there."""
    if "$ref" in part:
        return properties(schema["$defs"][part["$ref"].rpartition("/")[2]], schema, path)
    if "anyOf" in part:
        found: dict[str, str] = {}
        for each in part["anyOf"]:
            for place, what in properties(each, schema, path).items():
                found[place] = f"{found[place]} or {what}" if place in found else what
        return found
    what = "integer" if path == "schema" else part.get("type", "anything")  # the version has a place of its own
    if "enum" in part:
        what = " or ".join(map(json.dumps, part["enum"]))
    found = {path: what} if path else {}
    required = part.get("required", ())
    for name, each in part.get("properties", {}).items():
        inner = properties(each, schema, f"{path}.{name}" if path else name)
        own = f"{path}.{name}" if path else name
        found |= inner | {own: inner[own] if name in required else f"{inner[own]} or missing"}
    if isinstance(part.get("items"), dict):
        found |= properties(part["items"], schema, f"{path}[]")
    if isinstance(part.get("additionalProperties"), dict):
        found |= properties(part["additionalProperties"], schema, f"{path}{{}}")
    return found


def breaches(
    recorded: Mapping[str, Any], present: Mapping[str, Any], deprecations: Sequence[Deprecation] = DEPRECATIONS
) -> list[str]:
    """A sentence for each thing of the recorded interface that is gone, or not the same, and was not announced."""
    announced = {
        (each.kind, each.name) for each in deprecations if each.removed and _warned(each, recorded["release"])
    }
    found = []
    for kind, names in recorded["names"].items():
        for name in names:
            if name not in present["names"].get(kind, ()) and (kind, name) not in announced:
                found.append(f"the {kind} {name} is gone")
    for file, before in recorded["schemas"].items():
        now = present["schemas"].get(file, {"version": 0, "properties": {}})
        if now["version"] > before["version"]:
            continue
        if now["version"] < before["version"]:
            found.append(f"{file} is of version {now['version']}, after {before['version']}")
        for place, what in before["properties"].items():
            if place not in now["properties"]:
                found.append(f"{file}: {place} is gone, and the version is still {now['version']}")
            # A reader who expects more than there is now is not misled.
            elif not set(now["properties"][place].split(" or ")) <= set(what.split(" or ")):
                found.append(
                    f"{file}: {place} was {what} and is {now['properties'][place]}, and the version is still"
                    f" {now['version']}"
                )
    return found


def _warned(each: Deprecation, release: str | None) -> bool:
    """Whether the last release has warned of it; before the first one there is nobody to warn."""
    return release is None or parse_version(each.since) <= parse_version(release) < parse_version(each.removed)


def marks_of(config: pytest.Config) -> list[str]:
    """The names of the marks that a run knows."""
    lines: list[str] = config.getini("markers")
    return [re.split(r"[:(]", line, maxsplit=1)[0].strip() for line in lines]


def _marks() -> list[str]:
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "--markers"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return re.findall(r"^@pytest\.mark\.(\w+)", shown.stdout, re.MULTILINE)


def main(version: str) -> int:
    """Record the present interface as that of a release."""
    present = interface(_marks())
    if RECORD.exists() and (wrong := breaches(json.loads(RECORD.read_text(encoding="utf-8")), present)):
        print("not recorded, see docs/stability.md:", *wrong, sep="\n  ", file=sys.stderr)
        return 1
    release = None if version == "none" else ".".join(map(str, parse_version(version)))
    RECORD.write_text(json.dumps({"release": release, **present}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
