# SPDX-License-Identifier: GPL-2.0-or-later
"""`tox -e hosts`: its command lines, and the namespaces in which they run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from suites.harness.checkout import ROOT
from suites.hosts import host_commands, trial_ways, wheel
from suites.hosts.__main__ import parse
from suites.hosts.distributions import Host
from suites.hosts.installation import remove_copy
from suites.hosts.settings import Bind

DEBIAN = Host("debian-13", "Debian", "trixie")
UBUNTU = Host("ubuntu", "Ubuntu", "resolute", kernel="deb:linux-image-virtual", components="main,universe")


class TestCommandLines:
    def test_debootstrap_makes_a_minimal_system_and_checks_its_signature(self) -> None:
        command = host_commands.debootstrap(UBUNTU, "/target", "http://mirror.example/ubuntu", Path("/keyring.gpg"))
        assert command == [
            "debootstrap",
            "--variant=minbase",
            "--include=ca-certificates",
            "--components=main,universe",
            "--keyring=/keyring.gpg",
            "resolute",
            "/target",
            "http://mirror.example/ubuntu",
        ]

    def test_debootstrap_chooses_the_mirror_if_none_is_known(self) -> None:
        assert host_commands.debootstrap(DEBIAN, "/target", "", Path("/keyring.gpg"))[-2:] == ["trixie", "/target"]

    def test_updates_have_the_same_sources_as_after_an_installation(self) -> None:
        assert host_commands.sources_list(DEBIAN, "http://a.example/debian", "http://b.example/security") == (
            "deb http://a.example/debian trixie main\n"
            "deb http://a.example/debian trixie-updates main\n"
            "deb http://b.example/security trixie-security main\n"
        )

    def test_a_command_has_its_own_namespaces_and_environment(self) -> None:
        binds = (Bind(Path("/srv/a b"), "/mnt/a b"), Bind(Path("/cache"), "/cache", writable=True))
        command = host_commands.enter(
            Path("/h"), ["tox", "-e", "quick"], environment={"A": "b c"}, folder="/f", binds=binds
        )
        assert command[:-1] == ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c"]
        variables = " ".join(f"{name}={value}" for name, value in host_commands.ENVIRONMENT.items())
        assert command[-1] == (
            "mount --bind /h /h && mount -t proc proc /h/proc"
            " && mount --rbind /dev /h/dev && mount --rbind /sys /h/sys"
            " && mount -o bind,ro '/srv/a b' '/h/mnt/a b' && mount -o bind /cache /h/cache"
            " && cd /h && pivot_root . . && umount --lazy ."
            f" && env --ignore-environment --chdir=/f {variables} 'A=b c' tox -e quick\nexit $?"
        )

    def test_the_main_job_is_readmes_on_a_prebuilt_kernel(self) -> None:
        assert host_commands.main_job(DEBIAN, ["-k", "talk"]) == [
            "tox",
            "--",
            "--kernel=deb:linux-image-cloud-amd64",
            "-k",
            "talk",
        ]
        readme = (ROOT / "README.md").read_text()
        assert " ".join(host_commands.INSTALL_TOX) + " && tox" in readme
        assert "\n# " + " ".join(host_commands.main_job(DEBIAN, [])) in readme

    @pytest.mark.parametrize("words", [["--kernel=source"], ["--kernel", "source"]])
    def test_another_kernel_replaces_the_prebuilt_one(self, words: list[str]) -> None:
        assert host_commands.main_job(DEBIAN, words) == ["tox", "--", *words]

    def test_the_wheel_needs_nothing_but_pipx(self) -> None:
        way = trial_ways.of_wheel("kconform-1.0-py3-none-any.whl")
        assert [command for command in way.install if command[0] == "apt-get"] == [
            host_commands.UPDATE,
            ("apt-get", "install", "-y", "--no-install-recommends", "pipx"),
        ]
        assert ("pipx", "install", f"{way.files}/kconform-1.0-py3-none-any.whl") in way.install
        assert way.install[-1][1:] == ("doctor", "--install", "--yes")
        assert way.main_job(DEBIAN, ["-k", "talk"])[1:] == ["--kernel=deb:linux-image-cloud-amd64", "-k", "talk"]

    def test_the_wheel_is_tried_in_a_folder_of_its_own_without_a_checkout(self) -> None:
        way = trial_ways.of_wheel("k.whl")
        assert (way.folder != way.files, way.quick) == (True, ())
        assert way.report.startswith("kconform-reports/")
        assert (trial_ways.CHECKOUT.folder, trial_ways.CHECKOUT.quick) == (
            trial_ways.CHECKOUT.files,
            host_commands.QUICK,
        )

    def test_the_container_is_tried_in_a_checkout_for_which_git_lists_the_files(self) -> None:
        way = trial_ways.CONTAINER
        assert (way.files, way.folder, way.quick) == (host_commands.CHECKOUT, host_commands.CHECKOUT, ())
        assert way.install[-1] == ("git", "init", "--quiet")
        assert way.main_job(UBUNTU, ["-k", "talk"]) == ["tox", "-e", "container", "--", "-k", "talk"]

    @pytest.mark.parametrize(
        ("words", "wheel_container"),
        [([], (False, False)), (["--wheel"], (True, False)), (["--container"], (False, True))],
        ids=["checkout", "wheel", "container"],
    )
    def test_the_way_is_an_option(self, words: list[str], wheel_container: tuple[bool, bool]) -> None:
        options, _ = parse(words)
        assert (options.wheel, options.container) == wheel_container

    def test_pip_builds_the_wheel_without_its_dependencies(self) -> None:
        assert wheel.command(Path("/checkout"), Path("/out"))[1:] == [
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--wheel-dir=/out",
            "/checkout",
        ]

    @pytest.mark.parametrize(
        ("words", "left"),
        [
            (["--host", "debian-13", "-k", "talk"], ["-k", "talk"]),
            (["-k", "talk", "--host=debian-13"], ["-k", "talk"]),
            (["--host", "debian-13", "--", "--host", "of pytest"], ["--host", "of pytest"]),
        ],
    )
    def test_other_arguments_are_for_pytest(self, words: list[str], left: list[str]) -> None:
        options, rest = parse(words)
        assert (options.host, rest) == (["debian-13"], left)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a mount namespace")
class TestNamespaces:
    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(host_commands.isolated(script), capture_output=True, text=True, check=False)
        if "unshare" in done.stderr:
            pytest.skip(f"root may not create namespaces here: {done.stderr.strip()}")
        return done

    def test_mounts_end_with_the_command(self, tmp_path: Path) -> None:
        done = self.run(f"mount -t tmpfs none {tmp_path} && touch {tmp_path}/there && ls {tmp_path}")
        assert done.stdout == "there\n"
        assert not list(tmp_path.iterdir())
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()

    def test_background_processes_end_with_the_command(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        # A remaining process would keep the other end of the pipe open.
        assert self.run(f"(setsid sleep 1000 > {pipe} 2>&1 < /dev/null &)").returncode == 0
        assert os.read(reader, 1) == b""
        os.close(reader)

    def test_the_exit_status_is_the_commands(self) -> None:
        assert self.run("true && sh -c 'exit 5'").returncode == 5

    def test_a_copy_with_something_mounted_in_it_is_not_removed(self, tmp_path: Path) -> None:
        (tmp_path / "copy" / "dev").mkdir(parents=True)
        (tmp_path / "copy" / "file").touch()
        program = (
            "import sys; from pathlib import Path; from suites.hosts.installation import remove_copy;"
            "remove_copy(Path(sys.argv[1]))"
        )
        python = f"cd {ROOT} && {sys.executable} -c '{program}' {tmp_path}"
        done = self.run(f"mount -t tmpfs none {tmp_path}/copy/dev && {python}")
        assert f"{tmp_path}/copy/dev is mounted" in done.stderr
        assert (tmp_path / "copy" / "file").exists()
        remove_copy(tmp_path)
        assert not (tmp_path / "copy").exists()
