# SPDX-License-Identifier: GPL-2.0-or-later
"""--arch: kernels that are built for another architecture than this machine's."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import flavors, kernel_matrix
from kconfigs.architectures import ARCHITECTURES, architecture, named_architecture
from kconfigs.build.toolchain import Toolchain
from kconfigs.cache import Cache
from kconfigs.fetch import fetch
from kconfigs.kconfig import merge, parse_fragment
from kconfigs.kernel_options import requested_kernels
from kconfigs.planned_kernels import plan
from kconfigs.resolve import resolve
from kconfigs.spec import parse
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.builds.fake_builds import MakeTree, builds

IMAGE = """
Image:
	@echo "made for $(ARCH) by $(CROSS_COMPILE)gcc"
	@mkdir -p $(O)/arch/arm64/boot $(O)/include/config
	@cp $(CURDIR)/image.bin $(O)/arch/arm64/boot/Image
	@echo 6.12.7-fake > $(O)/include/config/kernel.release
	@echo one >> $(MARKS)/builds
	@: > $(O)/System.map
"""


@pytest.fixture
def linux(_small_flavors: None, make_tree: MakeTree) -> Path:
    """A tree that can also be built for arm64."""
    tree = make_tree()
    with (tree / "Makefile").open("a") as file:
        file.write(IMAGE)
    return tree


def test_a_tree_for_two_architectures(linux: Path, cache: Cache, tmp_path: Path) -> None:
    """They are two kernels, with objects of their own; this machine's is called as it always was."""
    made = {
        arch: fetch(resolve(parse(str(linux)), arch=arch, cache=cache), cache=cache) for arch in ("aarch64", "x86_64")
    }
    assert [kernel.id for kernel in made.values()] == ["linux-6.12.7-arm64/full", "linux-6.12.7/full"]
    assert [kernel.arch for kernel in made.values()] == ["aarch64", "x86_64"]
    log = made["aarch64"].image.with_name("build.log").read_text()
    assert "made for arm64 by aarch64-linux-gnu-gcc" in log
    assert builds(tmp_path) == 2
    again = fetch(resolve(parse(str(linux)), arch="aarch64", cache=cache), cache=cache)
    assert (again.image, builds(tmp_path)) == (made["aarch64"].image, 2)


@pytest.mark.parametrize("name", ["arm64", "aarch64"])
def test_the_option(linux: Path, name: str) -> None:
    (planned,) = plan(requested_kernels(specs=[str(linux)], arch=name))
    assert planned.id == "linux-6.12.7-arm64/full"


def test_an_unknown_architecture_is_wrong_use(linux: Path) -> None:
    with pytest.raises(UsageError, match="no architecture arm46; did you mean 'arm64'") as caught:
        requested_kernels(specs=[str(linux)], arch="arm46")
    assert "architectures: amd64, arm64" in caught.value.hint


def test_what_is_not_built_has_the_architecture_that_it_has(linux: Path, tmp_path: Path) -> None:
    """Beside a kernel that is built, the option is for that one."""
    image = tmp_path / "image.bin"
    image.write_bytes(fakes.bzimage(config=fakes.CONFIG))
    with pytest.raises(UsageError, match="--arch is for kernels that are built, and none of these is built"):
        plan(requested_kernels(specs=[str(image)], arch="arm64"))
    both = plan(requested_kernels(specs=[str(image), str(linux)], arch="arm64"))
    assert [one.source.arch for one in both] == ["x86_64", "aarch64"]


def test_a_matrix_has_it_for_each_kernel(linux: Path, tmp_path: Path) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(fakes.bzimage(config=fakes.CONFIG))
    matrix = tmp_path / "kconform.toml"
    matrix.write_text(f'[[kernel]]\nspec = "{linux}"\n[[kernel]]\nspec = "{linux}"\narch = "arm64"\n')
    assert [one.id for one in plan(kernel_matrix.load(matrix))] == ["linux-6.12.7/full", "linux-6.12.7-arm64/full"]
    matrix.write_text(f'[[kernel]]\nspec = "{image}"\narch = "arm64"\n')
    with pytest.raises(UsageError, match=r"kconform.toml:1: .* is not built, and has the architecture that it has"):
        plan(kernel_matrix.load(matrix))
    matrix.write_text('[[kernel]]\nspec = "source"\narch = "arm46"\n')
    with pytest.raises(UsageError, match=r"kconform.toml:3: .*no architecture arm46"):
        kernel_matrix.load(matrix)


@pytest.mark.parametrize("beside", ["matrix", "target"])
def test_it_is_not_for_these(beside: str, tmp_path: Path) -> None:
    matrix = tmp_path / "kconform.toml" if beside == "matrix" else None
    target = "local" if beside == "target" else None
    with pytest.raises(UsageError, match=r"so no(ne of them can be given| other can be named) beside it"):
        requested_kernels(matrix_file=matrix, target=target, arch="arm64")


def test_without_a_kernel_it_means_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The distribution's prebuilt kernel is for this machine."""
    monkeypatch.chdir(tmp_path)
    (asked,) = requested_kernels(arch="arm64")
    assert (asked.spec.text, asked.arch) == ("source", "aarch64")


class TestTools:
    def test_another_architecture_takes_a_cross_compiler(self) -> None:
        arm64 = architecture("aarch64")
        assert Toolchain().targeting(arm64).compiler == "aarch64-linux-gnu-gcc"
        assert Toolchain().targeting(arm64).linker == "aarch64-linux-gnu-ld"
        assert Toolchain().targeting(architecture("x86_64")) == Toolchain()

    @pytest.mark.parametrize("given", [Toolchain(llvm="1"), Toolchain(cross_compile="my-")])
    def test_what_the_user_has_chosen_stays(self, given: Toolchain) -> None:
        """clang needs no prefix."""
        assert given.targeting(architecture("aarch64")) == given

    def test_a_compiler_that_was_named(self) -> None:
        chosen = Toolchain(cc="gcc-14", hostcc="gcc-13").targeting(architecture("aarch64"))
        assert (chosen.compiler, chosen.host_compiler) == ("gcc-14", "gcc-13")
        assert chosen.linker == "aarch64-linux-gnu-ld"


class TestFragments:
    def test_an_option_for_some_architectures(self) -> None:
        fragment = parse_fragment(
            "a.config", "CONFIG_A=y # on x86_64, aarch64: since 5.18: why\nCONFIG_B=y # on aarch64: why\n"
        )
        assert list(merge([fragment], (6, 12), "aarch64")) == ["A", "B"]
        assert list(merge([fragment], (6, 12), "x86_64")) == ["A"]
        assert list(merge([fragment], (5, 10), "x86_64")) == []
        assert list(merge([fragment])) == ["A", "B"]
        assert fragment.options[0].reason == "why"

    def test_an_unknown_architecture(self) -> None:
        with pytest.raises(UsageError, match=r"a.config:1: no architecture arm64") as caught:
            parse_fragment("a.config", "CONFIG_A=y # on arm64: why\n")
        assert "aarch64" in caught.value.hint

    @pytest.mark.parametrize("arch", list(ARCHITECTURES))
    def test_each_architecture_asks_for_its_console(self, arch: str) -> None:
        for name in ("full", "mine"):
            assert architecture(arch).console_option in flavors.flavor(name).asked((6, 12), arch)

    def test_options_of_one_architecture_are_not_asked_of_others(self) -> None:
        asked = flavors.flavor("full").asked((6, 12), "aarch64")
        assert not [
            name for name in asked if name.startswith(("X86", "IA32", "CPU_SUP")) and asked[name].value != "n"
        ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *(("arm64", "aarch64"), ("aarch64", "aarch64"), ("x86", "x86_64"), ("amd64", "x86_64"), ("x86_64", "x86_64")),
        *(("i386", "i386"), ("i686", "i386"), ("armhf", "arm"), ("armv7l", "arm"), ("armv8l", "arm")),
    ],
)
def test_the_names_of_an_architecture(text: str, name: str) -> None:
    assert named_architecture(text) == name
