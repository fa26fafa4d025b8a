# SPDX-License-Identifier: GPL-2.0-or-later
"""Why Kconfig drops an option."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kconfigs.architectures import architecture
from kconfigs.build import unmet_dependencies
from kconfigs.build.toolchain import Toolchain
from kconfigs.kconfig import Option
from suites.harness.kconfigs.builds.fake_builds import MakeTree

pytestmark = pytest.mark.usefixtures("_small_flavors")


class TestUnmet:
    @pytest.mark.parametrize(
        ("name", "value", "config", "reason"),
        [
            ("SECURITY_YAMA", "y", "", "needs SECURITY (is n)"),
            (
                "SECURITY_YAMA",
                "y",
                "CONFIG_SECURITY=y\nCONFIG_MODULES=y\nCONFIG_SECURITY_OTHER=y\n",
                "!SECURITY_OTHER",
            ),
            ("NOSUCH", "y", "", "this kernel has no such option"),
        ],
    )
    def test_the_reason_is_named(
        self, make_tree: MakeTree, tmp_path: Path, name: str, value: str, config: str, reason: str
    ) -> None:
        path = make_tree()
        (tmp_path / "config").write_text(config)
        option, arch = Option(name, value, "", ""), architecture("x86_64")
        found = unmet_dependencies.explain(path, tmp_path / "config", [option], dict(os.environ), arch)
        assert found is not None
        assert reason in found.reasons[name]
        assert (name in found.settable) == (name != "NOSUCH")

    def test_an_option_that_depends_on_the_tools(self, make_tree: MakeTree, tmp_path: Path) -> None:
        path = make_tree()
        (path / "Kconfig").write_text(
            'config MODULES\n\tbool "m"\n\toption modules\n'
            'config CLANG\n\tdef_bool $(shell,echo "$(CC_VERSION_TEXT)" | grep -q clang && echo y || echo n)\n'
            'config GNU\n\tbool "g"\n\tdepends on !CLANG\n'
            'config X32\n\tbool "x"\n\tdepends on $(shell,test -n "$(CLANG_FLAGS)" && echo n || echo y)\n'
        )
        (tmp_path / "config").write_text("")
        arch, options = architecture("x86_64"), [Option(name, "y", "", "") for name in ("GNU", "X32")]
        env = {**os.environ, **Toolchain(llvm="1").kconfig_variables(arch)}
        found = unmet_dependencies.explain(path, tmp_path / "config", options, env, arch)
        assert found is not None
        assert found.reasons == {"GNU": "needs !CLANG", "X32": "needs something that this toolchain lacks"}

    def test_kconfig_files_that_cannot_be_parsed_give_no_reasons(self, make_tree: MakeTree, tmp_path: Path) -> None:
        path = make_tree()
        (path / "Kconfig").write_text("gibberish !!\n")
        (tmp_path / "config").write_text("")
        option, arch = Option("A", "y", "", ""), architecture("x86_64")
        assert unmet_dependencies.explain(path, tmp_path / "config", [option], dict(os.environ), arch) is None

    @pytest.mark.parametrize(
        ("line", "known"),
        [
            ("\tmodules\n", "\toption modules\n"),
            ("\ttransitional\n", "\n"),
            ("\tdepends on A || B if C\n", "\tdepends on (A || B) || !(C)\n"),
            ("\tdepends on A # only if B\n", "\tdepends on A # only if B\n"),
            ("\tdefault y if A\n", "\tdefault y if A\n"),
        ],
    )
    def test_newer_kconfig_syntax_is_rewritten(self, line: str, known: str) -> None:
        assert unmet_dependencies.modernised(line) == known
