# SPDX-License-Identifier: GPL-2.0-or-later
"""A process knows whether it is a worker, and what the controller handed over to it."""

from __future__ import annotations

import pytest

from suites.harness.checkout import ROOT

CONFTEST = """
from common.workers import handed_over, is_worker

def pytest_configure_node(node):
    assert not is_worker(node.config)
    node.workerinput["kconform_told"] = "so"

def pytest_runtest_setup(item):
    assert is_worker(item.config) == {worker}
    assert handed_over(item.config, "kconform_told") == {told!r}
    assert handed_over(item.config, "kconform_nothing") is None
"""


@pytest.mark.parametrize(("arguments", "told"), [(["-n", "1"], "so"), (["-p", "no:xdist"], None)])
def test_a_worker_knows_that_it_is_one(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str | None
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    conftest = CONFTEST.format(worker=told is not None, told=told)
    if told is None:
        # Without pytest-xdist there is no such hook.
        conftest = conftest.replace("def pytest_configure_node", "def configure_node")
    pytester.makeconftest(conftest)
    pytester.makepyfile("def test_nothing(): pass")
    pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=1)
