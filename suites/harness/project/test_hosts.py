# SPDX-License-Identifier: GPL-2.0-or-later
"""`tox -e hosts`: its command lines, the settings passed to a host, the cleanup, and its table."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from common.errors import KconformError, UsageError
from reports.judgement.exit_status import MEANING
from suites.hosts import base_system, chroot, host_table
from suites.hosts.__main__ import parse
from suites.hosts.distributions import HOSTS, Host, chosen
from suites.hosts.host_table import Row
from suites.hosts.installation import remove_copy
from suites.hosts.settings import PASSED, Bind, settings_for_host, variables
from suites.hosts.trial import copy_checkout, number

ROOT = Path(__file__).parents[3]
DEBIAN = Host("debian-13", "Debian", "trixie")
UBUNTU = Host("ubuntu", "Ubuntu", "resolute", kernel="deb:linux-image-virtual", components="main,universe")
SEEN = {"pass": 12, "skip": 6}

PIP = """\
:env:.timeout='180'
global.cert='/etc/own.crt'
global.extra-index-url='https://pypi.example/simple\\nfile:///srv/pypi/simple'
global.timeout='15'
install.user='true'
"""
APT = """\
APT::Architecture "amd64";
Acquire::Check-Valid-Until "false";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::CAInfo "/etc/own.crt";
Acquire::IndexTargets::deb::Packages::ShortDescription "Packages";
"""


class TestCommandLines:
    def test_debootstrap_makes_a_minimal_system_and_checks_its_signature(self) -> None:
        command = chroot.debootstrap(UBUNTU, "/target", "http://mirror.example/ubuntu", Path("/keyring.gpg"))
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
        assert chroot.debootstrap(DEBIAN, "/target", "", Path("/keyring.gpg"))[-2:] == ["trixie", "/target"]

    def test_updates_have_the_same_sources_as_after_an_installation(self) -> None:
        assert chroot.sources_list(DEBIAN, "http://a.example/debian", "http://b.example/security") == (
            "deb http://a.example/debian trixie main\n"
            "deb http://a.example/debian trixie-updates main\n"
            "deb http://b.example/security trixie-security main\n"
        )

    def test_a_command_has_its_own_namespaces_and_environment(self) -> None:
        binds = (Bind(Path("/srv/a b"), "/mnt/a b"), Bind(Path("/cache"), "/cache", writable=True))
        command = chroot.enter(Path("/h"), ["tox", "-e", "quick"], environment={"A": "b c"}, folder="/f", binds=binds)
        assert command[:-1] == ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c"]
        variables = " ".join(f"{name}={value}" for name, value in chroot.ENVIRONMENT.items())
        assert command[-1] == (
            "mount -t proc proc /h/proc && mount --rbind /dev /h/dev && mount --rbind /sys /h/sys"
            " && mount -o bind,ro '/srv/a b' '/h/mnt/a b' && mount -o bind /cache /h/cache"
            f" && chroot /h env --ignore-environment --chdir=/f {variables} 'A=b c' tox -e quick\nexit $?"
        )

    def test_the_main_job_is_readmes_on_a_prebuilt_kernel(self) -> None:
        assert chroot.main_job(DEBIAN, ["-k", "talk"]) == [
            "tox",
            "--",
            "--kernel=deb:linux-image-cloud-amd64",
            "-k",
            "talk",
        ]
        readme = (ROOT / "README.md").read_text()
        assert " ".join(chroot.INSTALL_TOX) + " && tox" in readme
        assert "\n# " + " ".join(chroot.main_job(DEBIAN, [])) in readme

    @pytest.mark.parametrize("words", [["--kernel=source"], ["--kernel", "source"]])
    def test_another_kernel_replaces_the_prebuilt_one(self, words: list[str]) -> None:
        assert chroot.main_job(DEBIAN, words) == ["tox", "--", *words]

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
        done = subprocess.run(chroot.isolated(script), capture_output=True, text=True, check=False)
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


class TestHandedOn:
    def test_pips_settings_become_variables_and_the_environment_has_priority(self) -> None:
        assert variables(PIP) == {
            "PIP_CERT": "/etc/own.crt",
            "PIP_EXTRA_INDEX_URL": "https://pypi.example/simple file:///srv/pypi/simple",
            "PIP_TIMEOUT": "180",
        }

    def test_files_of_this_machine_are_bound_beside_the_hosts_own(self) -> None:
        passed = settings_for_host(
            {"HOME": "/home/me", "https_proxy": "http://proxy.example"}, PIP, APT, lambda _: True
        )
        assert passed.environment == {
            "PIP_CERT": "/mnt/etc/own.crt",
            "PIP_EXTRA_INDEX_URL": "https://pypi.example/simple file:///mnt/srv/pypi/simple",
            "PIP_TIMEOUT": "180",
            "https_proxy": "http://proxy.example",
        }
        assert passed.apt == (
            'Acquire::Check-Valid-Until "false";\n'
            'Acquire::http::Proxy "http://proxy.example:3128";\n'
            'Acquire::https::CAInfo "/mnt/etc/own.crt";\n'
        )
        # The directory of an index is bound as well, because its files may be there.
        assert set(passed.binds) == {
            Bind(Path("/etc/own.crt"), "/mnt/etc/own.crt"),
            Bind(Path("/srv/pypi"), "/mnt/srv/pypi"),
        }

    def test_a_path_that_does_not_exist_is_unchanged(self) -> None:
        passed = settings_for_host({"PIP_FIND_LINKS": "/nowhere"}, "", "", lambda _: False)
        assert (passed.environment, passed.binds) == ({"PIP_FIND_LINKS": "/nowhere"}, ())

    def test_paths_that_pip_writes_to_are_not_passed(self) -> None:
        assert settings_for_host({"PIP_CACHE_DIR": "/cache", "PIP_LOG": "/log"}, "", "").environment == {}

    def test_tox_passes_the_same_variables(self) -> None:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(ROOT / "tox.ini")
        assert set(PASSED) <= set(parser["testenv"]["pass_env"].split())

    def test_the_checkout_contains_the_files_that_git_would_add(self, tmp_path: Path) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        source.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=source, check=True)
        for name in ("kept", "deleted", "new", "ignored"):
            (source / name).write_text(name)
        (source / "kept").chmod(0o755)
        (source / ".gitignore").write_text("ignored\n")
        (source / "link").symlink_to("nowhere")
        subprocess.run(["git", "add", "kept", "deleted", ".gitignore"], cwd=source, check=True)
        (source / "deleted").unlink()
        copy_checkout(source, target)
        assert {path.name for path in target.iterdir()} == {"kept", "new", "link", ".gitignore"}
        assert (target / "kept").stat().st_mode & 0o777 == 0o755
        assert (target / "link").is_symlink()


class TestTable:
    @pytest.mark.parametrize(
        ("row", "status", "verdict"),
        [
            (Row("a", counts=SEEN, status=0, quick=0), 0, "all promises held"),
            (Row("a", counts=SEEN, status=1, quick=0), 1, "a promise was broken"),
            (Row("a", counts=SEEN, status=1, quick=1), 1, "a promise was broken"),
            (Row("a", counts=SEEN, status=0, quick=1), 3, "the project's own tests failed"),
            (Row("a", counts=SEEN, status=3, quick=0), 3, MEANING[3]),
            (Row("a", counts=SEEN, status=137, quick=0), 3, "exit status 137"),
            (Row("a", status=1, quick=1), 3, "no test ran"),
            (Row("a", status=4, quick=0), 4, "wrong use"),
            (Row("a", why_not="debootstrap failed"), 3, "not tried: debootstrap failed"),
            (Row("a", why_not="archive not reachable", excused=True), 5, "not tried: archive not reachable"),
        ],
    )
    def test_the_status_and_verdict_of_a_host(self, row: Row, status: int, verdict: str) -> None:
        assert (host_table.exit_status([row]), row.verdict) == (status, verdict)

    def test_a_broken_promise_on_one_host_has_priority(self) -> None:
        held, broken, error = (Row(str(status), counts=SEEN, status=status) for status in (0, 1, 3))
        assert host_table.exit_status([held, error, broken]) == 1
        assert host_table.exit_status([held, error]) == 3
        assert host_table.exit_status([held, held]) == 0
        assert host_table.exit_status([]) == 5

    def test_an_optional_host_that_is_not_tried_changes_nothing(self) -> None:
        excused = Row("ubuntu", why_not="archive not reachable", excused=True)
        assert host_table.exit_status([Row("a", counts=SEEN, status=0), excused]) == 0
        assert host_table.exit_status([Row("a", counts=SEEN, status=5), excused]) == 5

    def test_it_is_markdown_with_columns_that_line_up(self) -> None:
        versions = {"tox": "4.25.0", "python": "3.13.5", "qemu": "10.0.13"}
        rows = [
            Row("debian-13", versions, SEEN, seconds=49.6, status=0, quick=0),
            Row("ubuntu-26.04", why_not="archive not reachable", excused=True),
        ]
        lines = host_table.render(rows).splitlines()
        assert {len(line) for line in lines} == {len(lines[0])}
        assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
            "debian-13",
            "4.25.0",
            "3.13.5",
            "10.0.13",
            "12",
            "0",
            "0",
            "50",
            "passed",
            "all promises held",
        ]

    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("4.25.0 from /usr/lib/python3/dist-packages/tox/__init__.py", "4.25.0"),
            ("3.28.0 imported from /usr/lib/python3/dist-packages/tox", "3.28.0"),
            ("Python 3.14.4", "3.14.4"),
            ("QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1)", "11.1.3"),
            ("", ""),
        ],
    )
    def test_versions_are_read(self, text: str, version: str) -> None:
        assert number(text) == version


class TestWrongUse:
    def test_only_root_can_create_hosts(self) -> None:
        with pytest.raises(UsageError, match="only root") as caught:
            base_system.require_tools(lambda name: f"/usr/sbin/{name}", uid=1000)
        assert caught.value.exit_status == 4

    def test_a_missing_debootstrap_is_named(self) -> None:
        with pytest.raises(UsageError, match=r"debootstrap is not installed\n.*apt-get install debootstrap"):
            base_system.require_tools(lambda name: None if name == "debootstrap" else name, uid=0)

    def test_the_error_for_an_unknown_host_lists_the_known_ones(self) -> None:
        with pytest.raises(UsageError, match="debian-13"):
            chosen(["debian-14"])

    def test_an_unreachable_archive_has_its_own_error(self) -> None:
        assert issubclass(base_system.UnreachableError, KconformError)
        assert base_system.UnreachableError("").exit_status == 3


def test_the_documents_name_every_host() -> None:
    passed = (ROOT / "docs" / "hosts.md").read_text()
    assert [host.name for host in HOSTS if f"`{host.name}`" not in passed] == []


def test_every_dependency_has_an_oldest_version() -> None:
    """Without a minimum version, `tox -e oldest` would install the very first release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    every = project["project"]["dependencies"] + project["dependency-groups"]["check"]
    assert [line for line in every if ">=" not in line] == []


TOX = """\
#!/bin/sh
echo "tox $*" >> "$CALLS"
case "$*" in
*--make-only*) exit "$MADE" ;;
"-e tests"*) exit "$TESTS" ;;
*) exit "$TALK" ;;
esac
"""


@pytest.mark.parametrize(
    ("tests", "made", "talk", "calls", "status"),
    [
        (0, 0, 0, ["tests", "make", "talk"], 0),
        (0, 0, 1, ["tests", "make", "talk"], 1),
        (0, 4, 0, ["tests", "make"], 0),
        (3, 0, 0, ["tests"], 3),
    ],
    ids=["held", "broken-on-the-other-host", "no-other-host", "tests-failed"],
)
def test_ci_fails_if_another_host_fails_but_not_if_none_can_be_created(
    tmp_path: Path, tests: int, made: int, talk: int, calls: list[str], status: int
) -> None:
    for name, content in {"tox": TOX, "debootstrap": "#!/bin/sh\n"}.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    log = tmp_path / "calls"
    variables = {"TESTS": tests, "MADE": made, "TALK": talk, "CALLS": log, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [ROOT / ".ci" / "run", "--kernel=x"],
        env={**os.environ, **{name: str(value) for name, value in variables.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    kinds = {"-e tests -- --kernel=x": "tests", "--make-only": "make", "-k talk": "talk"}
    lines = log.read_text().splitlines()
    assert [next(kind for end, kind in kinds.items() if line.endswith(end)) for line in lines] == calls
    assert ("could not be made" in done.stderr) == (calls[-1] == "make")
