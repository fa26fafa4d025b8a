# SPDX-License-Identifier: GPL-2.0-or-later
"""--resume: which results of a run that was cut short still count, and what is tested again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from suites.harness.checkout import ROOT

CONFTEST = """
import os
import pytest
from reports.run import resume
from reports.run.notes import attach, describe_run, set_kernel

PROFILES = {"tiny-6.1/full": os.environ["PROFILE"]} if "PROFILE" in os.environ else {}


def pytest_configure(config):
    if resume.FORMER in config.stash:
        resume.keep(config, {("tiny", "full")}, lambda kernel, digest: digest == os.environ["DIGEST"])
        resume.require_same_machine(config, os.environ.get("MACHINE"))
        resume.require_same_profiles(config, PROFILES)
    describe_run(config, resume.PROFILES, PROFILES)


def pytest_generate_tests(metafunc):
    if "kernel" in metafunc.fixturenames:
        metafunc.parametrize("kernel", ["tiny-6.1/full"])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if hasattr(item, "callspec"):
        set_kernel(item, {"id": "tiny-6.1/full", "name": "tiny-6.1", "flavor": "full", "release": "6.1",
                          "arch": "x86_64", "spec": "tiny", "digest": os.environ["DIGEST"], "identity": "tiny",
                          "accel": "tcg", "machine_options": os.environ.get("MACHINE")})
    attach(item, "transcript", "in run " + os.environ["RUN"])
    if item.name == os.environ.get("SPLAT"):
        attach(item, resume.WAIVED_SPLATS, "WARNING")
"""

TESTS = """
import os
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(kernel, number):
    pass

def test_broken(kernel):
    assert 1 == 2

def test_ours(kernel):
    if os.environ["RUN"] == "1":
        raise RuntimeError("no room")

def test_the_cut(kernel):
    if os.environ["RUN"] == "1":
        os.kill(os.getpid(), 9 if os.environ["CUT"] == "killed" else 2)

def test_after(kernel):
    pass

def test_without_a_kernel():
    pass
"""

NAMES = [f"test_it[tiny-6.1/full-{number}]" for number in range(6)]
NAMES += [f"test_{name}[tiny-6.1/full]" for name in ("broken", "ours", "the_cut", "after")]
NAMES += ["test_without_a_kernel"]

Start = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    (tmp_path / "suites" / "yama").mkdir(parents=True)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "suites" / "yama" / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p reports.run.plugin -p no:hypothesispytest\n")

    def run(
        *arguments: str, number: int, cut: str = "killed", digest: str = "d1"
    ) -> subprocess.CompletedProcess[str]:
        environment = {"PYTHONPATH": str(ROOT), "RUN": str(number), "CUT": cut, "DIGEST": digest}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "suites", *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def report(tmp_path: Path) -> dict[str, Any]:
    return dict(json.loads((tmp_path / "reports/out/latest/results.json").read_text()))


def ran_in(tmp_path: Path, document: dict[str, Any]) -> dict[str, str]:
    """The run in which each test was tested."""
    return {
        result["nodeid"].split("::")[1]: (tmp_path / "reports/out/latest" / result["evidence"]["transcript"])
        .read_text()
        .strip()[-1]
        for result in document["results"]
    }


@pytest.mark.parametrize("cut", ["killed", "interrupted"])
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one-process", "xdist"])
def test_what_has_a_verdict_is_not_tested_again(
    start: Start, tmp_path: Path, cut: str, workers: tuple[str, ...]
) -> None:
    start(number=1, cut=cut)
    first = report(tmp_path)
    assert first["run"]["state"] == ("running" if cut == "killed" else "interrupted")
    assert len(first["results"]) == 8
    second = start("--resume", "-q", *workers, number=2, cut=cut)
    assert second.returncode == 1, second.stdout + second.stderr
    assert f"resumed: 7 results of the run that began at {first['run']['started']}" in second.stdout
    document = report(tmp_path)
    assert sorted(result["nodeid"].split("::")[1] for result in document["results"]) == sorted(NAMES)
    again = {name for name, number in ran_in(tmp_path, document).items() if number == "2"}
    assert again == {f"test_{name}[tiny-6.1/full]" for name in ("ours", "the_cut", "after")} | {NAMES[-1]}
    assert document["run"]["resumed"] == {
        "started": first["run"]["started"],
        "state": first["run"]["state"],
        "results": 7,
    }
    assert (document["run"]["state"], document["run"]["collected"], document["run"]["exit_status"]) == (
        "finished",
        11,
        1,
    )
    schema = json.loads((ROOT / "reports" / "results.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    junit = ElementTree.parse(tmp_path / "reports/out/latest/junit.xml")  # noqa: S314
    assert len(list(junit.iter("testcase"))) == 11


def test_a_run_that_was_complete_has_nothing_left_to_do(start: Start, tmp_path: Path) -> None:
    start(number=2)
    second = start("--resume", number=3)
    assert second.returncode == 1
    assert set(ran_in(tmp_path, report(tmp_path)).values()) == {"2"}
    assert "1 broken" in second.stdout
    # The other files know the results too, although nothing ran.
    assert "exit status 1" in (tmp_path / "reports/out/latest/summary.md").read_text()


def test_verdicts_on_another_kernel_do_not_count(start: Start, tmp_path: Path) -> None:
    start(number=1)
    second = start("--resume", number=2, digest="d2")
    assert "tested again, because the kernel has changed: tiny-6.1/full" in second.stdout
    document = report(tmp_path)
    assert set(ran_in(tmp_path, document).values()) == {"2"}
    assert [kernel["digest"] for kernel in document["kernels"]] == ["d2"]
    assert len(document["results"]) == len(NAMES)


def test_results_of_other_machines_are_not_mixed(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MACHINE", "--cpus=2")
    first = start(number=1)
    assert "tiny-6.1/full (6.1, tcg, --cpus=2)" in start("-k", "after", "--report-dir=other", number=2).stdout, first
    monkeypatch.delenv("MACHINE")
    before = report(tmp_path)
    second = start("--resume", number=2)
    assert second.returncode == 4
    assert "the run to be continued had --cpus=2, and this one has none" in second.stderr
    assert report(tmp_path) == before


WAIVER = '[[waiver]]\ntest = "suites/yama/test_it.py::test_%s"\nreason = "known"\nexpires = 2999-12-31\n'


def test_a_waiver_may_be_for_a_test_that_is_done(start: Start, tmp_path: Path) -> None:
    (tmp_path / "known.toml").write_text(WAIVER % "broken")
    start("--waivers=known.toml", number=1)
    second = start("--waivers=known.toml", "--resume", number=2)
    assert second.returncode == 0, second.stdout + second.stderr
    assert report(tmp_path)["run"]["counts"]["waived"] == 1


def test_what_was_due_to_a_waiver_is_tested_again(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The waivers may be others now: a failure that nothing excuses any more must not stay green."""
    monkeypatch.setenv("SPLAT", "test_it[tiny-6.1/full-3]")
    (tmp_path / "known.toml").write_text(WAIVER % "broken" + WAIVER % "it[0]")
    start("--waivers=known.toml", number=1)
    assert report(tmp_path)["run"]["counts"]["unexpected-pass"] == 1
    second = start("--resume", number=2)
    assert second.returncode == 1, second.stdout + second.stderr
    assert "resumed: 4 results" in second.stdout
    again = {name for name, number in ran_in(tmp_path, report(tmp_path)).items() if number == "2"}
    assert {f"test_{name}]" for name in ("broken[tiny-6.1/full", "it[tiny-6.1/full-0", "it[tiny-6.1/full-3")} <= again


def test_another_profile_is_refused(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROFILE", "debian")
    start(number=1)
    before = report(tmp_path)
    assert before["run"]["versions"]["profiles"] == {"tiny-6.1/full": "debian"}
    for name, now in (("android", "profile android"), (None, "no profile")):
        monkeypatch.setenv("PROFILE", name) if name else monkeypatch.delenv("PROFILE")
        second = start("--resume", number=2)
        assert second.returncode == 4
        said = f"in the run to be continued, tiny-6.1/full had profile debian, and in this one it has {now}\n  hint: "
        assert said in second.stderr
        assert report(tmp_path) == before


def test_the_report_may_be_named(start: Start, tmp_path: Path) -> None:
    start("--report-dir=mine", number=1)
    start(number=2)
    second = start("--resume", "--report-dir=mine", number=3)
    assert "resumed: 7 results" in second.stdout
    document = json.loads((tmp_path / "mine/results.json").read_text())
    assert len(document["results"]) == len(NAMES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "cannot be read: No such file or directory"),
        (("--report-dir=empty",), "this directory has no results.json"),
        (("--report-dir=conftest.py",), "this is not JSON"),
    ],
    ids=["no-run-yet", "empty", "a-file"],
)
def test_without_a_report_there_is_nothing_to_resume(
    start: Start, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    done = start("--resume", *arguments, number=1)
    assert done.returncode == 4
    assert "--resume: " in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("--report-dir",), ("--resume", "--report-dir"), ("--baseline",), ("--waivers",)],
    ids=["report-dir", "resume", "baseline", "waivers"],
)
def test_a_home_directory_that_does_not_exist(start: Start, arguments: tuple[str, ...]) -> None:
    done = start(*arguments[:-1], f"{arguments[-1]}=~nobody-of-that-name/x", number=2)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "~nobody-of-that-name/x cannot be found: there is no such home directory\n  hint: " in done.stderr
    assert "Traceback" not in done.stderr
