# SPDX-License-Identifier: GPL-2.0-or-later
"""Control files whose author means harm."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from common.errors import UsageError
from kconfigs.debian.deb_package import parse_control
from suites.harness import hostile_files as hostile
from suites.harness.hostile_files import MIB, member, packed, tar
from suites.harness.kconfigs.debian.hostile_debs import CONTROL, package, with_control
from suites.harness.kconfigs.fake_kernels import PACKAGE


@pytest.mark.parametrize(
    ("control", "message"),
    [
        ("Version: 1\nArchitecture: amd64\n", "Package is missing"),
        ("\0" * 100, "Package is missing"),
        (CONTROL.replace(PACKAGE, "../../evil"), "Package is"),
        (CONTROL.replace(PACKAGE, "\x1b[31mred"), "Package is '\\x1b[31mred'"),
        (CONTROL.replace(PACKAGE, "x\u2028Version: 2"), "Package is"),
        (CONTROL.replace("6.12.7-1", "6." + "9" * 5000), "Version is"),
        (CONTROL.replace("6.12.7-1", "1/../../x"), "Version is"),
        (CONTROL.replace("amd64", "amd64 $(id)"), "Architecture is"),
        (CONTROL + "Depends: a [ ]\n", "Depends does not follow its grammar"),
        (CONTROL + "Depends: \x1b[31ma\n", "Depends has characters that do not print"),
        (CONTROL + f"Depends: {'a, ' * 50_000}\n", "or is too long"),
    ],
    ids=[
        "no-package", "nuls", "path", "escape", "line-separator", "long-version", "path-in-version", "shell",
        "empty-brackets", "escape-in-depends", "long-depends",
    ],
)  # fmt: skip
def test_a_control_file_that_makes_no_sense_is_refused(
    refused: Callable[[bytes], UsageError], control: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert message in refused(package(control=control)).message
    assert "\x1b" not in caplog.text


def test_a_dependency_of_blanks_takes_no_time() -> None:
    assert list(parse_control(CONTROL + f"Depends: a{' ' * 900_000}, b\n").depends) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            with_control(packed("gzip", tar(member("./control", bytes(2 * MIB))))),
            "its control file has 2097152 bytes",
        ),
        (with_control(packed("gzip", tar(member("./postinst")))), "it has no control file"),
        (with_control(b""), "it ends in the middle"),
        (hostile.ar({"debian-binary": b"2.0\n"}), "it has no control.tar"),
        (hostile.ar({"control.tar.gz": b""}), "debian-binary"),
        (hostile.ar({"debian-binary": b"2.0\n", "control.tar.rar": b""}), "packed in an unknown format"),
    ],
    ids=["large", "absent", "empty", "no-part", "first-part", "format"],
)
def test_a_strange_control_archive_is_refused(
    refused: Callable[[bytes], UsageError], content: bytes, message: str
) -> None:
    assert message in refused(content).message
