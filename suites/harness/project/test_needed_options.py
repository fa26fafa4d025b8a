# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that a test cannot need alone: it would be run on a kernel that cannot do what it expects."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import cast

import pytest

from guests.errors import SetupFailed
from kconfigs.kconfig import Config
from suites import conftest as suites_conftest
from suites.harness.checkout import ROOT

TOGETHER = {
    "COREDUMP": "ELF_CORE",  # without it, no program has a core (fs/binfmt_elf.c)
    "NET_9P_VIRTIO": "9P_FS",  # the transport mounts nothing
}
"""What has to be needed along with an option."""

ONE_OF = {
    "EXT2_FS": "EXT2_FS or EXT4_USE_FOR_EXT2",  # ext4 mounts as ext2
}
"""What to write for an option that another one can take the place of."""

AREAS = ("boot", "ptrace", "yama", "loadpin", "seccomp")
SUITES = [path for area in AREAS for path in (ROOT / "suites" / area).rglob("*.py")]


def needs(path: Path) -> Iterator[tuple[str, set[str]]]:
    """The options that each use of the marker names, with its place."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "needs":
            options = {one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)}
            yield f"{path.relative_to(ROOT)}:{node.lineno}", options


def test_options_are_needed_together() -> None:
    assert [
        f"{place}: {option} is nothing without {other}"
        for path in SUITES
        for place, options in needs(path)
        for option, other in TOGETHER.items()
        if option in options and other not in options
    ] == []


def test_alternatives_are_named() -> None:
    assert [
        f"{place}: write {alternatives!r}"
        for path in SUITES
        for place, options in needs(path)
        for option, alternatives in ONE_OF.items()
        if option in options
    ] == []


def test_the_marker_is_found() -> None:
    assert sum(len(list(needs(path))) for path in SUITES) > 50


# What is there only with an option, and that a test may reach through helpers of its module

LISTS_OF_MODULES = re.compile(r"/sys/kernel/security/lsm|lsm_list_modules")
WITH_SECURITY = {"SECURITY", "SECURITY_YAMA", "SECURITY_LOADPIN"}
"""With SECURITY, which the others need, security/inode.c makes the file, and security/lsm_syscalls.c has the call."""


def reached(function: FunctionType) -> str:
    """The source of a function, and of what it uses of its module."""
    module, seen, todo = inspect.getmodule(function), {function.__name__}, [function]
    texts = []
    while todo:
        one = todo.pop()
        texts.append(inspect.getsource(one))
        for name in set(one.__code__.co_names) - seen:
            seen.add(name)
            used = getattr(module, name, None)
            if isinstance(used, FunctionType) and used.__module__ == one.__module__:
                todo.append(used)
            elif isinstance(used, str):
                texts.append(used)
    return "\n".join(texts)


def functions_of_tests() -> Iterator[FunctionType]:
    for path in SUITES:
        if path.name.startswith("test_"):
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            yield from (one for name, one in inspect.getmembers(module, inspect.isfunction) if name[:5] == "test_")


def test_a_list_of_security_modules_needs_them() -> None:
    found = [function for function in functions_of_tests() if LISTS_OF_MODULES.search(reached(function))]
    assert len(found) >= 8
    for function in found:
        marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "needs"]
        assert {option for mark in marks for option in mark.args} & WITH_SECURITY, function.__name__


# What only the preparation of a test needs


def ended(config: str, error: BaseException) -> BaseException:
    """How a test ends that raises this, on a kernel with this config."""
    item = SimpleNamespace(funcargs={"kernel": SimpleNamespace(config=Config.parse(config))})
    running = suites_conftest.pytest_runtest_call(cast(pytest.Item, item))
    next(running)
    try:
        running.throw(error)
    except BaseException as caught:
        return caught
    raise AssertionError("it did not end")


def test_a_step_without_its_option_is_a_skip() -> None:
    skipped = ended("CONFIG_SYSCTL=n", SetupFailed("init writes", needs="SYSCTL"))
    assert (type(skipped), str(skipped)) == (pytest.skip.Exception, "needs CONFIG_SYSCTL")


@pytest.mark.parametrize(
    "error",
    [SetupFailed("init writes", needs="SYSCTL"), SetupFailed("init writes"), AssertionError("broken")],
    ids=["the-kernel-has-the-option", "no-option", "a-failure"],
)
def test_other_ends_stay(error: Exception) -> None:
    assert ended("CONFIG_SYSCTL=y", error) is error
