# SPDX-License-Identifier: GPL-2.0-or-later
"""A project with one test for every way in which a test can end, and what the report must say of each.

test_every_outcome.py writes it to a directory of its own and runs it there.
"""

from __future__ import annotations

CONFIG = """
[tool.pytest.ini_options]
testpaths = ["suites"]
addopts = ["--strict-markers", "--strict-config", "-p", "reports.run.plugin", "-p", "no:hypothesispytest"]
xfail_strict = true
filterwarnings = ["error"]
junit_family = "xunit1"
"""

REQUIREMENTS = """
[[requirement]]
id = "yama.scope-1"
text = "At scope 1 a task may attach <only> to its descendants."
source = "security/yama/yama_lsm.c"
since = "3.4"

[[requirement]]
id = "yama.scope-3"
text = "At scope 3 nobody attaches."
source = "security/yama/yama_lsm.c"
since = "3.4"

[[requirement]]
id = "yama.nobody-tests-me"
text = "Not tested."
source = "nowhere"
since = "3.4"
"""

CONFTEST = """
import pytest
from reports.run.notes import attach, describe_run, set_kernel


class GuestCrashed(Exception):
    verdict = "fail"
    evidence = {"console": "\\x1b[31mKernel panic\\x1b[0m <here>"}


class NoQemu(Exception):
    verdict = "error"
    exit_status = 3
    hint = "install qemu"


def pytest_generate_tests(metafunc):
    if "kernel" in metafunc.fixturenames:
        metafunc.parametrize("kernel", ["debian-6.12/full", "tiny-6.1/no-yama"])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if hasattr(item, "callspec"):
        kernel = item.callspec.params["kernel"]
        info = {"id": kernel, "digest": f"d {kernel}", "release": "6.12.1", "accel": "tcg", "version": (6, 12)}
        set_kernel(item, info)


@pytest.fixture
def guest(kernel, request):
    describe_run(request.config, "qemu", "7.2")
    attach(request.node, "transcript", "evil.attach(secret) -> OK & <more> \\udcff")
    attach(request.node, "kernel log", "[0.0] Linux")
    yield kernel
    attach(request.node, "process tree", "init -- evil")


@pytest.fixture
def crashing(guest):
    raise GuestCrashed("panic while booting")


@pytest.fixture
def no_qemu(kernel):
    raise NoQemu("qemu is not there")


@pytest.fixture
def splat_at_the_end(guest):
    yield
    raise GuestCrashed("WARNING at the end")
"""

TESTS = """
import pytest

pytestmark = pytest.mark.requirement("yama.scope-1")


def test_holds(guest):
    pass


def test_broken(guest):
    print("printed")
    assert guest == "", "evil[41].attach(secret[40]) -> OK, expected EPERM"


@pytest.mark.requirement("yama.scope-3")
def test_crashing(crashing):
    pass


def test_no_qemu(no_qemu):
    pass


def test_fault_of_ours(guest):
    None + 1


def test_splat(splat_at_the_end):
    pass


def test_broken_twice(splat_at_the_end):
    pytest.fail("first")


def test_skipped(guest):
    pytest.skip("no CONFIG_X")


@pytest.mark.xfail(reason="known")
def test_known(guest):
    assert False


@pytest.mark.xfail(reason="known")
def test_known_but_ours(guest):
    None + 1


@pytest.mark.xfail(reason="known")
def test_known_but_passes(guest):
    pass


@pytest.mark.xfail(reason="known", strict=False)
def test_known_at_times(guest):
    pass
"""

OUTCOMES = {
    "holds": ("pass", ""),
    "broken": ("fail", "evil[41].attach(secret[40]) -> OK, expected EPERM"),
    "crashing": ("fail", "panic while booting"),
    "no_qemu": ("error", "qemu is not there (hint: install qemu)"),
    "fault_of_ours": ("error", "TypeError: unsupported operand type(s) for +: 'NoneType' and 'int'"),
    "splat": ("fail", "WARNING at the end"),
    "broken_twice": ("fail", "first"),
    "skipped": ("skip", "no CONFIG_X"),
    "known": ("skip", "expected failure: known"),
    "known_but_ours": ("error", "TypeError: unsupported operand type(s) for +: 'NoneType' and 'int'"),
    "known_but_passes": ("fail", "[XPASS(strict)] known"),
    "known_at_times": ("pass", "passed, though expected to fail: known"),
}
KERNELS = ("debian-6.12/full", "tiny-6.1/no-yama")

FILES = {
    "pyproject.toml": CONFIG,
    "conftest.py": CONFTEST,
    "suites/yama/requirements.toml": REQUIREMENTS,
    "suites/yama/test_it.py": TESTS,
}
