# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing of the stable interface goes without a warning, and the warnings reach those who use it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common import deprecation
from common.deprecation import DEPRECATIONS, Deprecation, warn_of_arguments
from common.versions import parse_version
from kconform import main
from suites.harness.checkout import ROOT
from suites.harness.project.interface_record import RECORD, breaches, interface, marks_of, properties
from suites.harness.reports.documents import result, write
from suites.harness.reports.run.inner_runs import HOLDS, prepare, requirements_toml, run, suite

WHAT_TO_DO = """

If it was not meant, bring it back.  If it was, docs/stability.md says how a name is deprecated, and removed a release
later; a change that could mislead a reader of a file needs a new version of that file."""


@pytest.fixture
def recorded() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return content


@pytest.fixture
def present(pytestconfig: pytest.Config) -> dict[str, Any]:
    return interface(marks_of(pytestconfig))


def test_nothing_is_gone_unannounced(recorded: dict[str, Any], present: dict[str, Any]) -> None:
    wrong = breaches(recorded, present)
    assert not wrong, "".join(f"\n  {each}" for each in wrong) + WHAT_TO_DO


def test_what_is_recorded_is_the_whole_interface(present: dict[str, Any]) -> None:
    """Of each kind a name that everybody uses, and no kind is empty: otherwise, nothing could be found gone."""
    names = present["names"]
    known = {
        "option": ("--kernel=", "--resume", "--flaky=undetermined", "--waivers=", "--shard=", "--accel=kvm"),
        "command": (
            "diff",
            "diff --format=markdown",
            "diff argument 2",
            "doctor --install",
            "reproduce",
            "bisect --good=",
        ),
        "mark": ("requirement", "needs", "quick"),
        "exit status": ("0 HELD", "5 NOTHING_RAN"),
        "outcome": ("flaky",),
        "status": ("held",),
        "promise": ("yama.scope-1",),
        "flavor": ("full",),
        "profile": ("debian",),
        "file": ("results.json",),
        "waiver key": ("expires",),
    }
    assert names.keys() == known.keys()
    missing = [(kind, name) for kind, some in known.items() for name in some if name not in names[kind]]
    assert missing == []
    places = present["schemas"]["results.json"]["properties"]
    assert places["results[].repetition.attempts[].breaks"] == "array or missing"
    assert places["run.exit_status"] == "integer or null"
    assert '"held"' in places["requirements[].status{}"]


class TestBreaches:
    CHANGES: tuple[tuple[Callable[[dict[str, Any]], object], str | None], ...] = (
        (lambda now: now["names"]["option"].remove("--resume"), "the option --resume is gone"),
        (lambda now: now["names"]["promise"].remove("yama.scope-1"), "the promise yama.scope-1 is gone"),
        (lambda now: now["names"].pop("waiver key"), "the waiver key expires is gone"),
        (lambda now: now["names"]["option"].append("--new"), None),
        (lambda now: _places(now).pop("run.argv"), "results.json: run.argv is gone, and the version is still 3"),
        (
            lambda now: _places(now).update({"run.argv": "string"}),
            "results.json: run.argv was array and is string, and the version is still 3",
        ),
        (
            lambda now: _places(now).update({"run.argv": "array or missing"}),
            "results.json: run.argv was array and is array or missing, and the version is still 3",
        ),
        (lambda now: _places(now).update({"run.exit_status": "integer"}), None),
        (lambda now: _places(now).update({"run.new": "string"}), None),
        (lambda now: now["schemas"]["results.json"].update(version=4, properties={}), None),
        (lambda now: now["schemas"]["results.json"].update(version=2), "results.json is of version 2, after 3"),
        (lambda now: now["schemas"].pop("results.json"), "results.json is of version 0, after 3"),
    )

    @pytest.mark.parametrize(("change", "complaint"), CHANGES, ids=range(len(CHANGES)))
    def test_what_was_promised_must_stay_and_more_may_come(
        self, recorded: dict[str, Any], change: Callable[[dict[str, Any]], object], complaint: str | None
    ) -> None:
        now = copy.deepcopy(recorded)
        change(now)
        found = breaches(recorded, now, ())
        assert (complaint in found) if complaint else found == []

    @pytest.mark.parametrize(
        ("since", "removed", "release", "goes"),
        [
            ("0.2", "0.3", "0.2", True),
            ("0.2", "0.3", "0.2.1", True),
            ("0.1", "0.3", "0.2", True),
            ("0.2", "", "0.2", False),  # it is deprecated, and must work
            ("0.3", "0.3", "0.2", False),  # no release has warned of it
            ("0.2", "0.3", "0.3", False),  # that release had it, though it says that it has not
            ("0.2", "0.3", None, True),  # there has been no release
        ],
    )
    def test_a_name_may_go_after_a_release_that_has_warned_of_it(
        self, recorded: dict[str, Any], since: str, removed: str, release: str | None, goes: bool
    ) -> None:
        now = copy.deepcopy(recorded)
        now["names"]["option"].remove("--resume")
        announced = Deprecation("option", "--resume", since, "--again", removed)
        found = breaches(recorded | {"release": release}, now, [announced])
        assert found == ([] if goes else ["the option --resume is gone"])

    def test_a_record_of_a_file_goes_as_deep_as_the_file(self) -> None:
        schema = {
            "properties": {"a": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}, "schema": {"const": 7}},
            "required": ["a"],
            "$defs": {"A": {"type": "object", "properties": {"b": {"type": "array", "items": {"enum": ["x", 1]}}}}},
        }
        assert properties(schema, schema) == {
            "a": "object or null", "a.b": "array or missing", "a.b[]": '"x" or 1', "schema": "integer or missing"
        }  # fmt: skip


def _places(now: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = now["schemas"]["results.json"]["properties"]
    return found


def test_each_deprecation_is_in_the_changelog_and_works_until_it_is_removed(present: dict[str, Any]) -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for each in DEPRECATIONS:
        assert (each.name in present["names"][each.kind]) == (not each.removed), each
        assert not each.removed or parse_version(each.since) < parse_version(each.removed), each
        for heading in ("Deprecated", "Removed") if each.removed else ("Deprecated",):
            sections = re.findall(rf"^### {heading}$(.*?)(?=^##|\Z)", changelog, re.MULTILINE | re.DOTALL)
            assert any(each.name.rstrip("=") in section for section in sections), (heading, each)


class TestWarnings:
    TABLE = (
        Deprecation("option", "--cases=", "0.2", "--sample"),
        Deprecation("option", "--hold", "0.1", "--keep", removed="0.2"),
        Deprecation("command", "summary", "0.2", "kconform tell"),
        Deprecation("command", "diff --format=", "0.2", "--as"),
        Deprecation("promise", "yama.former", "0.2", "yama.rate"),
    )
    GONE = "is deprecated since 0.2 and will be removed in the release after it; use"

    @pytest.fixture(autouse=True)
    def _table(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deprecation, "DEPRECATIONS", self.TABLE)

    @pytest.mark.parametrize(
        ("words", "command", "what"),
        [
            (["--cases=3"], "", "option --cases"),
            (["-q", "--cases", "3"], "", "option --cases"),
            (["--case", "--hold"], "", ""),
            (["--cases=3"], "merge", ""),
            ([], "summary", "kconform summary"),
            (["--format", "text"], "diff", "kconform diff --format"),
            ([], "diff", ""),
        ],
    )
    def test_whoever_uses_a_name_is_warned(
        self, capsys: pytest.CaptureFixture[str], words: list[str], command: str, what: str
    ) -> None:
        warn_of_arguments(words, command)
        said = capsys.readouterr().err
        assert said.startswith(f"kconform: warning: {what} {self.GONE} ") if what else said == ""

    def test_a_command_warns_and_works(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["summary", str(write(tmp_path, result("yama/scope")))]) == 0
        said = capsys.readouterr()
        assert said.out.startswith("## kconform")
        assert said.err == f"kconform: warning: kconform summary {self.GONE} kconform tell\n"

    @pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one-process", "xdist"])
    def test_a_run_warns_once_and_takes_the_promise_that_replaces_another(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
    ) -> None:
        prepare(pytester, monkeypatch)
        pytester.makeconftest(
            f"from common import deprecation\nfrom common.deprecation import Deprecation\n"
            f"deprecation.DEPRECATIONS = {self.TABLE!r}\n"
        )
        suite(pytester, f"@pytest.mark.requirement('yama.rate')\ndef test_rate(): assert False\n{HOLDS}", "yama")
        Path("suites/yama/requirements.toml").write_text(requirements_toml("yama.rate"))
        Path("mine.toml").write_text(
            '[[waiver]]\nrequirement = "yama.former"\nreason = "known"\nexpires = 2999-01-01\n'
        )
        done = run(pytester, "--waivers=mine.toml", "--cases=3", *workers)
        assert done.ret == 0
        warnings = sorted(line for line in done.stderr.lines if "deprecated" in line)
        assert [line.partition(" is deprecated")[0] for line in warnings] == [
            "kconform: warning: option --cases", "kconform: warning: promise yama.former"
        ]  # fmt: skip
        assert "mine.toml" in warnings[1]
