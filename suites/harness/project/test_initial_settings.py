# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command line sets is undone before a test, if tests depend on it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from kconfigs.kconfig import Config
from suites.initial_settings import ASKS, skip_without_attach, undo


class SettingsOfGuest:
    def __init__(self) -> None:
        self.written: dict[str, str] = {}

    def write_file(self, path: str, content: str) -> None:
        self.written[path] = content


def request_of(*words: str, builtin: str = "", fixtures: tuple[str, ...] = ("guest",)) -> Any:
    """The request of a test whose kernel is booted with these arguments."""
    config = Config.parse(f'CONFIG_CMDLINE_BOOL=y\nCONFIG_CMDLINE="{builtin}"\n' if builtin else "")
    kernel = SimpleNamespace(arguments=words[:1], config=config)
    return SimpleNamespace(
        getfixturevalue=lambda _: kernel,
        config=SimpleNamespace(option=SimpleNamespace(append=words[1:])),
        fixturenames=fixtures,
    )


def undone(request: Any) -> dict[str, str]:
    guest = SettingsOfGuest()
    undo(request, cast(Any, guest))
    return guest.written


@pytest.mark.parametrize(
    ("words", "builtin", "expected"),
    [
        pytest.param(("quiet", "panic=1"), "", {}, id="nothing"),
        pytest.param(("sysctl.fs.suid_dumpable=2",), "", {"/proc/sys/fs/suid_dumpable": "0"}, id="a-setting"),
        pytest.param(("a", "sysctl.fs/suid_dumpable=2"), "", {"/proc/sys/fs/suid_dumpable": "0"}, id="with-slashes"),
        pytest.param((), "sysctl.fs.suid_dumpable=1", {"/proc/sys/fs/suid_dumpable": "0"}, id="built-in"),
        pytest.param(
            ("sysctl.kernel.print-fatal-signals=1",),
            "",
            {"/proc/sys/kernel/print-fatal-signals": "0"},
            id="with-a-dash",
        ),
        pytest.param(("sysctl.kernel.panic_on_warn=1",), "", {}, id="one-that-does-not-matter"),
    ],
)
def test_what_is_undone(words: tuple[str, ...], builtin: str, expected: dict[str, str]) -> None:
    assert undone(request_of(*words, builtin=builtin)) == expected


@pytest.mark.parametrize("fixture", ASKS)
def test_a_test_of_the_initial_settings_gets_them(fixture: str) -> None:
    assert undone(request_of("sysctl.fs.suid_dumpable=2", fixtures=("guest", fixture))) == {}


def test_the_scope_that_cannot_be_left() -> None:
    request = request_of("sysctl.kernel.yama.ptrace_scope=2", "sysctl.kernel.yama.ptrace_scope=3")
    with pytest.raises(pytest.skip.Exception, match="tasks can be traced"):
        skip_without_attach(request)
    skip_without_attach(request_of("sysctl.kernel.yama.ptrace_scope=2"))
    skip_without_attach(request_of("sysctl.kernel.yama.ptrace_scope=3", fixtures=()))
