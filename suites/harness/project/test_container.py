# SPDX-License-Identifier: GPL-2.0-or-later
"""`tox -e container`: its command lines, what it mounts, and what it measures; podman is not needed."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from common.errors import UsageError
from suites.harness.checkout import ROOT
from suites.hosts import container, container_commands
from suites.hosts.container import Watch, devices, require_tools
from suites.hosts.container_commands import (
    APT_CONF,
    CACHE,
    FOLDERS,
    HOME,
    PIP_CONF,
    REPORTS,
    SUBORDINATE,
    UID,
    USER,
    PodmanFolder,
    accounts,
    as_caller,
    as_trial_user,
    build,
    pack,
    pip_conf,
    run,
    script,
)
from suites.hosts.settings import Bind, Settings

PLACE = PodmanFolder(Path("/p"))
NETWORK = Settings({"PIP_CERT": "/mnt/own.crt"}, binds=(Bind(Path("/etc/own.crt"), "/mnt/own.crt"),))
CONTAINERFILE = (ROOT / container_commands.CONTAINERFILE).read_text()


class TestBuild:
    def test_the_base_is_the_containerfiles_unless_one_is_named(self) -> None:
        assert [word for word in build(PLACE, "", NETWORK) if "BASE" in word] == []
        assert "--build-arg=BASE=localhost/other" in build(PLACE, "localhost/other", NETWORK)
        assert "ARG BASE=docker.io/library/debian:trixie-slim\nFROM $BASE\n" in CONTAINERFILE

    def test_settings_for_network_access_are_mounted_and_not_in_the_image(self) -> None:
        command = build(PLACE, "", NETWORK)
        mounts = [word.removeprefix("--volume=") for word in command if word.startswith("--volume=")]
        assert mounts == [
            f"/p/90network:{APT_CONF}:ro",
            f"/p/pip.conf:{PIP_CONF}:ro",
            "/etc/own.crt:/mnt/own.crt:ro",
        ]
        assert not [word for word in command if word.startswith("--env") or "own.crt" in word.replace(mounts[2], "")]

    def test_everything_is_below_the_folder(self) -> None:
        assert {word for word in build(PLACE, "", Settings({})) if "/" in word and "/p/" not in word} == {
            "--tag=localhost/kconform"
        }
        assert build(PLACE, "", NETWORK)[-1] == "/p/wheel"

    def test_pips_settings_become_a_file(self) -> None:
        made = configparser.RawConfigParser()
        made.read_string(pip_conf({"PIP_EXTRA_INDEX_URL": "https://a.example file:///b", "SSL_CERT_FILE": "/c"}))
        assert dict(made["global"]) == {"extra-index-url": "https://a.example file:///b"}

    def test_a_base_is_packed_without_what_an_image_does_not_have(self) -> None:
        command = pack(Path("/root-of-it"), Path("/p/base.tar"))
        assert command[-1] == "."
        assert {"--exclude=./dev/*", "--exclude=./var/lib/apt/lists/*"} <= set(command)


class TestRun:
    def test_only_the_cache_and_the_reports_can_be_written_to(self) -> None:
        command = run(PLACE, NETWORK, ["-k", "talk"], "1001:100")
        writable = {word for word in command if word.startswith("--volume=") and not word.endswith(":ro")}
        assert "--read-only" in command
        assert writable == {f"--volume=/p/cache:{CACHE}", f"--volume=/p/reports:{REPORTS}"}

    def test_it_has_no_privilege(self) -> None:
        command = run(PLACE, NETWORK, [], "1001:100")
        assert {"--cap-drop=all", "--security-opt=no-new-privileges", "--userns=keep-id"} <= set(command)
        assert "--user=1001:100" in command

    def test_the_arguments_are_kconforms(self) -> None:
        assert run(PLACE, NETWORK, ["-k", "talk"], "1001:100")[-3:] == ["localhost/kconform", "-k", "talk"]

    def test_kvm_is_used_where_there_is_one(self) -> None:
        assert "--device=/dev/kvm" in run(PLACE, NETWORK, [], "1001:100", devices(lambda _: True))
        assert not [
            word for word in run(PLACE, NETWORK, [], "1001:100", devices(lambda _: False)) if "device" in word
        ]

    def test_the_document_shows_the_same_options(self) -> None:
        shown = re.sub(r"\\\n\s*", "", (ROOT / "docs/container.md").read_text())
        [line] = [line for line in shown.splitlines() if line.startswith("podman run ")][:1]
        options = {word for word in run(PLACE, NETWORK, [], "1001:100", ["/dev/kvm"]) if word.startswith("--")}
        beside = {"--root", "--runroot", "--storage-driver", "--cgroup-manager", "--volume", "--user"}
        assert {word for word in options if word.partition("=")[0] not in beside} <= set(line.split())
        assert '--user="$(id -u):$(id -g)"' in line
        assert f":{CACHE}" in line
        assert f":{REPORTS}" in line

    def test_the_places_that_are_written_to_are_the_images(self) -> None:
        assert f"XDG_CACHE_HOME={CACHE}" in CONTAINERFILE
        assert f"VOLUME {CACHE}\nWORKDIR {Path(REPORTS).parent}\n" in CONTAINERFILE


class TestUser:
    def test_a_step_is_named_before_its_output_and_the_first_failure_is_the_last(self) -> None:
        assert (
            script({"a": ["true"], "b": ["echo", "x y"]}) == "echo 'step: a' && true && echo 'step: b' && echo 'x y'"
        )

    def test_an_ordinary_user_runs_podman_directly(self) -> None:
        command = as_caller(PLACE, "podman info")
        assert command[:2] == ["env", "--chdir=/p"]
        assert command[-3:] == ["sh", "-c", "podman info"]
        assert {"HOME=/p", "XDG_RUNTIME_DIR=/p/run"} <= set(command)

    def test_root_becomes_a_user_that_only_the_namespace_knows(self) -> None:
        command = as_trial_user(Path("/c/a b"), "podman info")
        assert command[:3] == ["unshare", "--mount", "--pid"]
        commands = command[-1]
        assert "mount --bind '/c/a b/subuid' /etc/subuid" in commands
        assert f"mount --bind '/c/a b' {HOME}" in commands
        assert "mknod --mode=666 /dev/net/tun c 10 200" in commands
        assert f"setpriv --reuid={UID} --regid={UID} --clear-groups env --chdir={HOME}" in commands

    def test_the_accounts_of_this_machine_stay(self) -> None:
        files = accounts({"passwd": "root:x:0:0::/:/bin/sh\n", "subuid": "me:100000:65536\n"})
        assert files["passwd"].splitlines() == ["root:x:0:0::/:/bin/sh", f"{USER}:x:{UID}:{UID}::{HOME}:/bin/sh"]
        assert files["subuid"] == f"me:100000:65536\n{USER}:{SUBORDINATE[0]}:{SUBORDINATE[1]}\n"
        assert set(files) == {"passwd", "group", "subuid", "subgid"}

    def test_the_folder_is_laid_out_for_all_that_is_named_in_it(self) -> None:
        command = " ".join([*build(PLACE, "", NETWORK), *run(PLACE, NETWORK, [], "1001:100")])
        places = set(re.findall(r"/p/(\w+)[/: ]", f"{command} ")) - {"storage", "90network"}
        assert places <= set(FOLDERS)


class TestWatch:
    @pytest.fixture
    def told(self) -> list[str]:
        return []

    @pytest.fixture
    def watch(self, told: list[str]) -> Watch:
        times = iter(range(0, 1000, 10))
        return Watch(told.append, lambda: next(times))

    def test_the_first_verdict_is_timed_from_the_start_of_the_run(self, watch: Watch, told: list[str]) -> None:
        for line in (
            "step: build",
            "sha256:1234",
            "step: size",
            "812345678 bytes",
            "step: run",
            "[gw0] [ 1%] SKIPPED suites/yama/test_a.py::test_a",
            "[gw1] [ 2%] PASSED suites/yama/test_a.py::test_b",
            "[gw0] [ 3%] FAILED suites/yama/test_a.py::test_c",
        ):
            watch.see(f"{line}\n")
        assert (watch.step, watch.size) == ("run", 812345678)
        assert watch.summary() == "size of the image: 812 MB\nfirst verdict: after 10 s"
        assert told[0].startswith("build: ")
        assert "[gw1] [ 2%] PASSED suites/yama/test_a.py::test_b" in told

    def test_without_a_verdict_it_says_so(self, watch: Watch) -> None:
        watch.see("step: run\n")
        watch.see("kconform: error: no kernel\n")
        assert watch.summary() == "size of the image: unknown\nfirst verdict: none"


def test_what_podman_needs_is_named() -> None:
    with pytest.raises(UsageError, match=r"newuidmap is not installed\n.*apt-get install uidmap"):
        require_tools(lambda name: None if name == "newuidmap" else name)


def test_podmans_own_failures_are_no_verdict() -> None:
    assert [status for status in (0, 1, 3, 4, 5, 124, 125, 126, 127) if status in container.PODMANS_OWN] == [
        125,
        126,
        127,
    ]
