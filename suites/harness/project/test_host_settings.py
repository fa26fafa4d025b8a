# SPDX-License-Identifier: GPL-2.0-or-later
"""`tox -e hosts`: the settings that are passed to a host."""

from __future__ import annotations

import configparser
import subprocess
from pathlib import Path

from common import git
from suites.harness.checkout import ROOT
from suites.hosts.settings import PASSED, Bind, settings_for_host, variables
from suites.hosts.trial import copy_checkout

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
        subprocess.run(["git", "init", "-q"], cwd=source, check=True, env=git.environment())
        for name in ("kept", "deleted", "new", "ignored"):
            (source / name).write_text(name)
        (source / "kept").chmod(0o755)
        (source / ".gitignore").write_text("ignored\n")
        (source / "link").symlink_to("nowhere")
        adding = ["git", "add", "kept", "deleted", ".gitignore"]
        subprocess.run(adding, cwd=source, check=True, env=git.environment())
        (source / "deleted").unlink()
        copy_checkout(source, target)
        assert {path.name for path in target.iterdir()} == {"kept", "new", "link", ".gitignore"}
        assert (target / "kept").stat().st_mode & 0o777 == 0o755
        assert (target / "link").is_symlink()
