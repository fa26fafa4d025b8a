# SPDX-License-Identifier: GPL-2.0-or-later
"""--resume of a run of the suites, with options that ask for other kernels than the run had."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconfigs.kconfig import Config
from kconfigs.kernel import kernel_digest
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.reports.documents import kernel, result, write
from suites.harness.reports.run.inner_runs import refusal


def refused(tmp_path: Path, *arguments: str) -> str:
    """The message when a run of the suites cannot be resumed; its report stays as it was."""
    before = (tmp_path / "report" / "results.json").read_bytes()
    said = refusal(tmp_path, "--resume", "--report-dir=report", *arguments)
    assert (tmp_path / "report" / "results.json").read_bytes() == before
    return said


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_misspelt_kernel_leaves_the_report_as_it_was(tmp_path: Path, workers: str) -> None:
    """A misspelt kernel must not make the kernels of the former run look as if nobody had asked for them."""
    write(tmp_path / "report", result("yama/scope"))
    assert "there is no kernel at misspelt" in refused(tmp_path, "--kernel=misspelt", "-n", workers)


def test_options_that_were_forgotten(tmp_path: Path) -> None:
    """The results of the kernels that they named would be lost without a question."""
    write(tmp_path / "report", result("yama/scope"), argv=["--matrix=kconform.toml", "-n2"])
    (tmp_path / "vmlinuz").write_bytes(fakes.bzimage(config=fakes.CONFIG))
    said = refused(tmp_path, "--kernel=./vmlinuz")
    assert "also had debian-6.12.117/full, which no option asks for now" in said
    assert "its options were --matrix=kconform.toml -n2;" in said


def test_a_flavor_that_was_forgotten(tmp_path: Path) -> None:
    """All flavors of a source have its SPEC.  The version in the id may be another one now."""
    (tmp_path / "vmlinuz").write_bytes(fakes.bzimage(config=fakes.CONFIG))
    found = [kernel(f"vmlinuz-6.1/{flavor}", spec="./vmlinuz") for flavor in ("shipped", "sanitizers")]
    scope = result("yama/scope", on="vmlinuz-6.1/sanitizers")
    write(tmp_path / "report", scope, kernels=found, argv=["--flavor=sanitizers"])
    said = refused(tmp_path, "--kernel=./vmlinuz")
    assert "also had vmlinuz-6.1/sanitizers, which no option asks for now" in said
    assert "its options were --flavor=sanitizers;" in said


def test_another_profile(tmp_path: Path) -> None:
    """What a profile requires of a kernel was not tested, or something else was."""
    (tmp_path / "vmlinuz").write_bytes(fakes.bzimage(config=fakes.CONFIG))
    digest = kernel_digest(tmp_path / "vmlinuz", Config.parse(fakes.CONFIG))
    name = f"vmlinuz-{fakes.RELEASE}/shipped"
    write(
        tmp_path / "report",
        result("yama/scope", on=name),
        kernels=[kernel(name, spec="./vmlinuz", digest=digest)],
        versions={"profiles": {name: "kspp"}},
    )
    said = refused(tmp_path, "--kernel=./vmlinuz", "--profile=debian")
    assert f"in the run to be continued, {name} had profile kspp, and in this one it has profile debian" in said
    said = refused(tmp_path, "--kernel=./vmlinuz")
    assert f"{name} had profile kspp, and in this one it has no profile" in said
