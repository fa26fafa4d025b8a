# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: builds, flavors and the cache.  Those about profiles are in test_profile.py."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kconfigs import flavors
from kconfigs.build import toolchain
from kconfigs.kconfig import parse_fragment
from kconform import main

pytestmark = [
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the fake kernel is for x86-64"),
    pytest.mark.usefixtures("cache_root"),
]


@pytest.fixture
def _restore_sigterm() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.usefixtures("_restore_sigterm")
class TestCommandLine:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(toolchain, "_version", lambda tool: f"{tool} (fake) 1")
        fragment = parse_fragment("small.config", "CONFIG_MODULES=y  # why not\n")
        monkeypatch.setattr(flavors, "fragment", lambda _: fragment)

    def test_build_prints_id_and_image_of_each_flavor(self, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["build", str(tree), "--flavor", "full", "--flavor", "no-yama"]) == 0
        lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert [line[0] for line in lines] == ["linux-6.12.7/full", "linux-6.12.7/no-yama"]
        assert all(Path(line[1]).is_file() for line in lines)

    def test_wrong_use_ends_with_4_and_no_traceback(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["build", "/nonexistent"]) == 4
        error = capsys.readouterr().err
        assert error.startswith("kconform: error: there is no kernel at /nonexistent\n  hint: ")
        assert "Traceback" not in error

    @pytest.mark.parametrize("words", [["nosuch"], ["build"], ["build", "x", "--nosuch"]])
    def test_a_wrong_command_line_ends_with_4(self, words: list[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 4

    def test_flavors_are_listed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["flavors"]) == 0
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(flavors.FLAVORS)

    def test_a_flavor_is_printed_with_its_reasons(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["fragment", "full"]) == 0
        assert "# why not (small.config:1)" in capsys.readouterr().out
        assert main(["fragment", "nosuch"]) == 4

    def test_the_cache_is_listed_and_cleared(
        self, tree: Path, cache_root: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        main(["build", str(tree)])
        capsys.readouterr()
        assert main(["cache", "list"]) == 0
        assert "kernels/linux-6.12.7-full-" in capsys.readouterr().out
        assert main(["cache", "clear", "kernels"]) == 0
        assert "removed 1 entries" in capsys.readouterr().out
        assert list(cache_root.glob("kernels/*")) == []
