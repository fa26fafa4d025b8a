# SPDX-License-Identifier: GPL-2.0-or-later
"""An image in a build directory has the configuration that it was built with, not that of the next build."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel
from suites.harness.kconfigs import fake_kernels as fakes

WITHOUT = "CONFIG_INIT_ENV_ARG_LIMIT=32\nCONFIG_SECURITY=y\n"
WITH = f"{WITHOUT}CONFIG_SECURITY_YAMA=y\n"
BUILT_S = 1000


class Build:
    """A build directory whose image was made at BUILT_S."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for option in ("SECURITY", "EMBEDDED"):
            self.write(f"include/config/{option}", "", at=100)
        self.write("include/config/auto.conf", WITHOUT, at=101)
        self.write(".config", WITHOUT, at=99)
        self.write("arch/x86/boot/bzImage", fakes.bzimage(), at=BUILT_S)

    def write(self, name: str, content: str | bytes, *, at: int) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.utime(path, (at, at))

    def kernel(self) -> Kernel:
        return fakes.resolved(str(self.folder), cache=Cache(self.folder.parent / "cache")).kernel()


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path / "O")


def test_a_finished_build(build: Build) -> None:
    assert not build.kernel().config.enabled("SECURITY_YAMA")


@pytest.mark.parametrize("where", ["", "arch/x86/boot/bzImage"])
def test_a_config_that_was_changed_and_not_built(build: Build, where: str) -> None:
    build.write(".config", WITH, at=2000)
    build.folder /= where
    build.folder.parent.joinpath("cache").mkdir(exist_ok=True)
    assert not build.kernel().config.enabled("SECURITY_YAMA")


@pytest.mark.parametrize("name", ["SECURITY_YAMA", "security/yama.h"], ids=["since-5.14", "until-5.13"])
def test_a_build_that_did_not_finish_is_refused(build: Build, name: str) -> None:
    build.write(".config", WITH, at=2000)
    build.write(f"include/config/{name}", "", at=2001)
    build.write("include/config/auto.conf", WITH, at=2002)
    with pytest.raises(
        UsageError, match=r"bzImage was not built again after CONFIG_SECURITY_YAMA was changed"
    ) as caught:
        build.kernel()
    assert "--kernel-config" in caught.value.hint


def test_a_later_configuration_that_changes_nothing(build: Build) -> None:
    """`make olddefconfig modules`."""
    build.write(".config", WITH, at=2000)
    build.write("include/config/auto.conf", WITH, at=2002)
    assert build.kernel().config.enabled("SECURITY_YAMA")


def test_a_later_change_of_a_module(build: Build) -> None:
    """The image stays as it is, although the build has finished."""
    build.write(".config", f"{WITHOUT}CONFIG_TEST_LKM=m\n", at=2000)
    build.write("include/config/TEST_LKM", "", at=2001)
    build.write("include/config/auto.conf", f"{WITHOUT}CONFIG_TEST_LKM=m\n", at=2002)
    assert build.kernel().config["TEST_LKM"] == "m"


@pytest.mark.parametrize("quote", ['"', ""], ids=["until-5.17", "since-5.18"])
def test_strings_have_their_quotes(build: Build, quote: str) -> None:
    auto = {"LSM": "yama", "HOSTNAME": "(none)", "VERSION": "12", "EMPTY": "", "OLD": "a b"}
    now = {"LSM": "yama,loadpin", "HOSTNAME": "(none)", "VERSION": "12", "EMPTY": ""}
    numbers = "CONFIG_HZ=250\nCONFIG_START=0x100\n"
    lines = "".join(f"CONFIG_{name}={quote}{value}{quote}\n" for name, value in auto.items())
    build.write("include/config/auto.conf", WITHOUT + numbers + lines, at=101)
    build.write(
        ".config", WITHOUT + numbers + "".join(f'CONFIG_{name}="{value}"\n' for name, value in now.items()), at=2000
    )
    config = build.kernel().config
    assert {name: config[name] for name in auto} == {name: f'"{value}"' for name, value in auto.items()}
    assert (config["HZ"], config["START"], config["SECURITY"]) == ("250", "0x100", "y")


def test_times_of_a_copy_say_nothing(build: Build) -> None:
    build.write("include/config/SECURITY_YAMA", "", at=0)
    build.write("include/config/auto.conf", WITH, at=0)
    build.write(".config", WITH, at=0)
    for path in build.folder.rglob("include/config/*"):
        os.utime(path, (3000, 3000))
    assert build.kernel().config.enabled("SECURITY_YAMA")


def test_a_directory_without_what_the_build_used(build: Build) -> None:
    (build.folder / "include/config/auto.conf").unlink()
    build.write(".config", WITH, at=2000)
    assert build.kernel().config.enabled("SECURITY_YAMA")
