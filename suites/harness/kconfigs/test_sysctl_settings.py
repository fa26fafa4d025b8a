# SPDX-License-Identifier: GPL-2.0-or-later
"""sysctl.d folders are read as sysctl.d(5) describes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import sysctl_settings
from kconfigs.sysctl_settings import SysctlSettings

SCOPE = "kernel/yama/ptrace_scope"


def folder(path: Path, **files: str) -> str:
    """A folder with these files, whose names here have neither digits nor dots: `a` is 10-a.conf."""
    path.mkdir()
    for name, text in files.items():
        (path / f"10-{name}.conf").write_text(text)
    return str(path)


def settings(tmp_path: Path, text: str) -> SysctlSettings:
    (tmp_path / "mine.conf").write_text(text)
    return sysctl_settings.read([str(tmp_path / "mine.conf")])


class TestLines:
    @pytest.mark.parametrize(
        ("line", "key", "value"),
        [
            ("kernel.yama.ptrace_scope = 1", SCOPE, "1"),
            ("kernel/yama/ptrace_scope=1", SCOPE, "1"),
            ("  kernel.yama.ptrace_scope\t=\t1  ", SCOPE, "1"),
            ("-kernel.yama.ptrace_scope = 0", SCOPE, "0"),
            ("/kernel//yama/ptrace_scope = 2", SCOPE, "2"),
            ("kernel.yama.ptrace_scope =", SCOPE, ""),
            ("kernel.core_pattern = |/bin/core %p=%s", "kernel/core_pattern", "|/bin/core %p=%s"),
            ("net.ipv4.conf.enp3s0/200.forwarding = 1", "net/ipv4/conf/enp3s0.200/forwarding", "1"),
            ("net/ipv4/conf/enp3s0.200/forwarding = 1", "net/ipv4/conf/enp3s0.200/forwarding", "1"),
            ("kernel.yama.ptrace_scope = 1 # one", SCOPE, "1 # one"),
        ],
    )
    def test_keys_and_values(self, tmp_path: Path, line: str, key: str, value: str) -> None:
        (found,) = settings(tmp_path, f"# first\n\n; second\n{line}\n").settings
        assert (found.key, found.value, found.where) == (key, value, f"{tmp_path}/mine.conf:4")

    @pytest.mark.parametrize("line", ["kernel.yama.ptrace_scope 1", "[sysctl]", "= 1", "-"])
    def test_what_is_no_assignment_is_ignored_and_said(self, tmp_path: Path, line: str) -> None:
        found = settings(tmp_path, f"a.b = 1\r\n{line}\nc.d = 2\n")
        assert [one.name for one in found.settings] == ["a.b", "c.d"]
        assert found.remarks == (
            f"{tmp_path}/mine.conf:2: systemd-sysctl ignores this line, which is no assignment: {line}",
        )


class TestOrder:
    def test_the_last_assignment_counts_and_takes_its_place(self, tmp_path: Path) -> None:
        found = settings(tmp_path, "a.b = 1\nc.d = 2\na/b = 3\n")
        assert [(one.name, one.value) for one in found.settings] == [("c.d", "2"), ("a.b", "3")]
        assert [(one.name, one.value) for one in found.overridden] == [("a.b", "1")]

    def test_the_same_value_again_overrides_nothing(self, tmp_path: Path) -> None:
        found = settings(tmp_path, "a.b = 1\nc.d = 2\na/b = 1\n")
        assert [one.where[-1] for one in found.settings] == ["1", "2"]
        assert found.overridden == ()

    def test_files_are_read_by_name_and_one_name_once(self, tmp_path: Path) -> None:
        etc = folder(tmp_path / "etc", b="a.b = etc-b")
        usr = folder(tmp_path / "usr", a="a.b = usr-a\nonly.a = 1", b="a.b = usr-b\nonly.b = 1", c="c.d = usr-c")
        (tmp_path / "usr" / "README").write_text("no settings")
        found = sysctl_settings.read([etc, usr])
        assert [(one.name, one.value) for one in found.settings] == [
            ("only.a", "1"),
            ("a.b", "etc-b"),
            ("c.d", "usr-c"),
        ]
        assert sysctl_settings.read([usr, etc]).of("a/b") != found.of("a/b")

    def test_a_link_to_dev_null_masks_a_file(self, tmp_path: Path) -> None:
        etc, usr = folder(tmp_path / "etc", c="c.d = 1"), folder(tmp_path / "usr", a="a.b = 1")
        (tmp_path / "etc" / "10-a.conf").symlink_to("/dev/null")
        (tmp_path / "etc" / "99-gone.conf").symlink_to("../nothing.conf")
        assert [one.name for one in sysctl_settings.read([etc, usr]).settings] == ["c.d"]

    def test_an_empty_folder_among_others(self, tmp_path: Path) -> None:
        etc, usr = folder(tmp_path / "etc"), folder(tmp_path / "usr", a="a.b = 1")
        assert len(sysctl_settings.read([etc, usr]).settings) == 1


class TestGlobs:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("kernel.yama.* = 2", "2"),
            ("kernel.*.ptrace_scop[a-f] = 2", "2"),
            ("kernel.* = 2", None),
            ("kernel.yama.* = 2\nkernel.yama.ptrace_scope = 1", "1"),
            ("kernel.yama.ptrace_scope = 1\nkernel.yama.* = 2", "1"),
            ("kernel.yama.* = 2\n-kernel.yama.ptrace_scope", None),
            ("kernel.yama.ptrace_scope = 1\n-kernel.yama.ptrace_scope\nkernel.yama.* = 2", None),
            ("-kernel.yama.ptrace_scope\nkernel.yama.ptrace_scope = 1", "1"),
            ("kernel.yama.* = 2\nkernel.*.ptrace_scope = 3", "3"),
        ],
    )
    def test_explicit_keys_come_first(self, tmp_path: Path, text: str, value: str | None) -> None:
        found = settings(tmp_path, text).of(SCOPE)
        assert (found and found.value) == value
        assert found is None or found.key == SCOPE


class TestBadInput:
    def test_what_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=f"{tmp_path}/none cannot be read: No such file or directory") as caught:
            sysctl_settings.read([str(tmp_path / "none")])
        assert "sysctl.d folder" in caught.value.hint
        folder(tmp_path / "etc")
        (tmp_path / "etc" / "a.conf").mkdir()
        with pytest.raises(UsageError, match=r"a\.conf cannot be read: Is a directory"):
            sysctl_settings.read([str(tmp_path / "etc")])

    def test_a_folder_without_settings(self, tmp_path: Path) -> None:
        etc = folder(tmp_path / "etc")
        (tmp_path / "etc" / "README.sysctl").write_text("a.b = 1")
        with pytest.raises(UsageError, match=f"{etc}: no file here has a name that ends in .conf"):
            sysctl_settings.read([etc])

    def test_what_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "a.conf").write_bytes(b"a.b = 1\nc.d = caf\xe9\n")
        with pytest.raises(UsageError, match=r"a\.conf:2: not a file of sysctl settings: the file is not UTF-8"):
            sysctl_settings.read([str(tmp_path)])

    def test_a_large_file_and_many_files(self, tmp_path: Path) -> None:
        (tmp_path / "a.conf").write_bytes(b"\n" * ((1 << 20) + 1))
        with pytest.raises(UsageError, match="is larger than 1 MiB"):
            sysctl_settings.read([str(tmp_path)])
        for number in range(1000):
            (tmp_path / f"{number}.conf").touch()
        with pytest.raises(UsageError, match="has 1001 files of settings"):
            sysctl_settings.read([str(tmp_path)])
