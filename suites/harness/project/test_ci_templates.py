# SPDX-License-Identifier: GPL-2.0-or-later
"""The templates in docs/ci are valid for their CI systems, and their commands exist."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kconform import parser
from suites.harness.checkout import ROOT

TEMPLATES = sorted(path for path in (ROOT / "docs" / "ci").rglob("*") if path.is_file())
GITLAB_KEYWORDS = {"stages", "default", "variables", "include", "workflow"}


def read_all(name: str) -> list[dict[str, Any]]:
    """The documents of a template, without duplicate keys, which the YAML parser would accept silently."""
    text = (ROOT / "docs" / "ci" / name).read_text(encoding="utf-8")
    for document in yaml.compose_all(text):
        for mapping in _mappings(document):
            keys = [key.value for key, _ in mapping.value]
            assert len(set(keys)) == len(keys), keys
    return list(yaml.safe_load_all(text))


def read(name: str) -> dict[str, Any]:
    """A template of one document."""
    (document,) = read_all(name)
    return document


def _mappings(node: Any) -> Iterator[yaml.MappingNode]:
    if isinstance(node, yaml.MappingNode):
        yield node
    if isinstance(node, yaml.CollectionNode):
        for child in node.value:
            for part in child if isinstance(child, tuple) else (child,):
                yield from _mappings(part)


def github_steps() -> list[dict[str, Any]]:
    return [step for job in read("github-workflow.yml")["jobs"].values() for step in job["steps"]]


def gitlab_jobs() -> dict[str, dict[str, Any]]:
    return {name: job for name, job in read("gitlab-ci.yml").items() if name not in GITLAB_KEYWORDS}


def kubernetes_jobs() -> dict[str, dict[str, Any]]:
    documents = [document for name in KUBERNETES for document in read_all(name)]
    return {each["metadata"]["name"]: each["spec"] for each in documents if each["kind"] == "Job"}


def container(job: dict[str, Any]) -> dict[str, Any]:
    (only,) = job["template"]["spec"]["containers"]
    return dict(only)


def lava_steps() -> list[str]:
    (test,) = [action["test"] for action in read("lava-job.yml")["actions"] if "test" in action]
    (definition,) = test["definitions"]
    return list(definition["repository"]["run"]["steps"])


def scripts() -> list[str]:
    """The shell scripts of all templates."""
    kubernetes = [container(job)["command"][-1] for job in kubernetes_jobs().values()]
    gitlab = [job["script"] for job in gitlab_jobs().values()] + [read("gitlab-ci.yml")["default"]["before_script"]]
    github = [step["run"] for step in github_steps() if "run" in step]
    return [*github, *("\n".join(lines) for lines in (*gitlab, lava_steps())), *kubernetes]


def commands() -> list[list[str]]:
    """Every call of tox in the scripts, as lists of words."""
    return [
        shlex.split(call.partition("||")[0])
        for script in scripts()
        for call in re.findall(r"^\s*(tox .*)$", script.replace("\\\n", ""), re.MULTILINE)
    ]


KUBERNETES = ("kubernetes-shards.yml", "kubernetes-verdict.yml")
SCHEMAS = {
    "github-workflow.yml": ("--builtin-schema=vendor.github-workflows",),
    "gitlab-ci.yml": ("--builtin-schema=vendor.gitlab-ci", "--data-transform=gitlab-ci"),
}
"""The published schemas of the CI systems, which check-jsonschema contains."""


def check_schema(path: Path, schema: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", *schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("template", [ROOT / "docs" / "ci" / name for name in SCHEMAS], ids=lambda path: path.name)
def test_it_is_valid_by_the_schema_of_its_ci_system(template: Path) -> None:
    done = check_schema(template, SCHEMAS[template.name])
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_template_is_checked() -> None:
    """The last three by test_ci_components.py."""
    others = {"lava-job.yml", "action.yml", "gitlab-component.yml", "Jenkinsfile"}
    assert {path.name for path in TEMPLATES} == {*SCHEMAS, *KUBERNETES, *others}


@pytest.mark.parametrize(("name", "key"), [("github-workflow.yml", "runs-on"), ("gitlab-ci.yml", "script")])
def test_the_schema_knows_what_a_job_needs(tmp_path: Path, name: str, key: str) -> None:
    """Otherwise the test above shows nothing."""
    text = (ROOT / "docs" / "ci" / name).read_text(encoding="utf-8")
    (tmp_path / name).write_text(text.replace(f"{key}:", "misspelt:"))
    assert check_schema(tmp_path / name, SCHEMAS[name]).returncode == 1


@pytest.mark.parametrize("name", KUBERNETES)
def test_kubernetes_accepts_it(name: str) -> None:
    """By the schema of its API, in the oldest version that has `backoffLimitPerIndex` for all, and in the newest."""
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for document in read_all(name):
        for version in ("1.33", validator.latest_version()):
            validator.validate(document, version, strict=True)
    wrong = read_all(name)[-1]
    wrong["spec"]["completionModes"] = "Indexed"
    with pytest.raises(validator.ValidationError):
        validator.validate(wrong, "1.33", strict=True)


def test_lava_accepts_it() -> None:
    """By the schema that LAVA checks jobs with, which Debian's package lava-common has."""
    schemas = pytest.importorskip("lava_common.schemas", reason="lava-common is not installed (Debian's package)")
    schemas.validate(read("lava-job.yml"))
    wrong = read("lava-job.yml")
    wrong["actions"][0]["deploy"]["images"] = wrong["actions"][0]["deploy"].pop("image")
    with pytest.raises(Exception, match=r"extra keys not allowed|required key not provided"):
        schemas.validate(wrong)


def test_every_index_of_the_kubernetes_job_has_its_shard() -> None:
    """The indices begin at 0, shards at 1; each index writes to a directory of its own."""
    job = kubernetes_jobs()["kconform-shards"]
    assert job["completionMode"] == "Indexed"
    environment = {each["name"]: each["value"] for each in container(job)["env"]}
    assert environment["SHARDS"] == str(job["completions"])
    script = container(job)["command"][-1]
    stub = 'tox() { echo "$@"; return "$ENDS"; }\n'
    for index, ends, status in ((0, 0, 0), (1, 1, 0), (2, 3, 0), (3, 5, 0), (3, 2, 2), (3, 4, 4)):
        done = subprocess.run(
            ["bash", "-c", stub + script],
            env=environment | {"JOB_COMPLETION_INDEX": str(index), "ENDS": str(ends)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (status, "")
        assert f"--shard={index + 1}/{job['completions']} " in done.stdout
        assert f"/shard-{index}" in done.stdout


def test_lava_is_told_the_result_of_each_test(tmp_path: Path) -> None:
    """The job's script turns kcidb.json into calls of lava-test-case."""
    tests = [("a.b", "PASS"), ("a.c", "FAIL"), ("a.d", "SKIP"), ("a.e", "ERROR")]
    content = {"tests": [{"path": path, "status": status} for path, status in tests]}
    (tmp_path / "kcidb.json").write_text(json.dumps(content))
    script = lava_steps()[-1].replace("/tmp/report", str(tmp_path))  # noqa: S108
    stub = 'lava-test-case() { echo "$@"; }\n'
    done = subprocess.run(["bash", "-c", stub + script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "a.b --result pass",
        "a.c --result fail",
        "a.d --result skip",
        "a.e --result unknown",
    ]


def test_github_finds_jobs_with_steps() -> None:
    workflow = read("github-workflow.yml")
    assert {"name", "jobs"} <= set(workflow)
    # YAML 1.1 reads the key `on` as true.
    assert set(workflow[True]) == {"push", "pull_request", "workflow_dispatch"}  # type: ignore[index]
    for name, job in workflow["jobs"].items():
        assert re.fullmatch(r"[a-z]+", name)
        assert job["runs-on"]
        assert isinstance(job["timeout-minutes"], int)
        assert {job.get("needs", name)} <= set(workflow["jobs"])
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), step
            assert set(step) <= {"name", "uses", "run", "with", "if", "env"}
            assert re.fullmatch(r"actions/[\w/-]+@v\d+", step.get("uses", "actions/x@v1"))


def test_gitlab_finds_jobs_with_scripts() -> None:
    pipeline = read("gitlab-ci.yml")
    assert gitlab_jobs()
    for job in gitlab_jobs().values():
        assert job["stage"] in pipeline["stages"]
        assert all(isinstance(line, str) for line in job["script"])
        assert job["artifacts"]["when"] == "always"


def test_reports_are_kept_when_a_test_has_failed() -> None:
    uploads = [step for step in github_steps() if step.get("uses", "").startswith("actions/upload-artifact")]
    assert uploads
    for step in uploads:
        assert step["if"] == "${{ !cancelled() }}"


def test_the_shell_can_parse_their_scripts() -> None:
    for script in scripts():
        done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_their_calls_of_tox_are_valid() -> None:
    """The environments exist, and kconform's parser or pytest accepts the arguments."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    environments = []
    for command in commands():
        before, arguments = command[: command.index("--")], command[command.index("--") + 1 :]
        environment = before[before.index("-e") + 1] if "-e" in before else "main"
        environments.append(environment)
        if environment == "main":
            options = {argument.partition("=")[0] for argument in arguments}
            assert options - {"$resume"} == {"--kernel", "--shard", "--confirm", "--report-dir"}
        else:
            assert f"testenv:{environment}" in tox
            assert parser().parse_args(arguments)
    assert sorted(set(environments)) == ["kconform", "main"]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_the_documents_name_it(template: Path) -> None:
    assert f"]({template.relative_to(ROOT / 'docs')})" in (ROOT / "docs" / "gate-a-ci.md").read_text(encoding="utf-8")
