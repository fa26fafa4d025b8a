# SPDX-License-Identifier: GPL-2.0-or-later
"""An apt that answers out of a table."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from kconfigs.debian.apt import LONGEST_PATH

Control = dict[str, str]
CLOUD = "linux-image-cloud-amd64"


class FakeApt:
    """Answers as apt does, out of a list of control paragraphs; downloads files out of a directory."""

    def __init__(self, *offered: Control, pool: Path | None = None, lists: bool = True) -> None:
        self.offered = [{"Version": "1", "Architecture": "amd64", **control} for control in offered]
        self.pool, self.lists = pool, lists
        self.calls: list[list[str]] = []

    def __call__(self, command: Sequence[str], cwd: Path | None) -> str:
        self.calls.append(list(command))
        action = next(word for word in command[1:] if not word.startswith("-") and "::" not in word)
        answer: Callable[[Sequence[str], Path | None], str] = getattr(self, action)
        return answer(command[command.index(action) + 1 :], cwd)

    def indextargets(self, *_: object) -> str:
        return "Packages\n" if self.lists else ""

    def update(self, *_: object) -> str:
        self.lists = True
        return ""

    def search(self, arguments: Sequence[str], _: Path | None) -> str:
        names = dict.fromkeys(control["Package"] for control in self.offered)
        return "".join(f"{name} - words\n" for name in names if re.search(arguments[-1], name))

    def pkgnames(self, *_: object) -> str:
        return "\n".join(control["Package"] for control in self.offered)

    def show(self, arguments: Sequence[str], cwd: Path | None) -> str:
        assert cwd is None
        shown, missing = "", False
        for wanted in (word for word in arguments if not word.startswith("-")):
            name, _, version = wanted.partition("=")
            found = [c for c in self.offered if c["Package"] == name and version in {"", c["Version"]}]
            missing = missing or not found
            for control in found[:1] if "--no-all-versions" in arguments else found:
                shown += "".join(f"{key}: {value}\n" for key, value in control.items()) + "\n"
        if missing:
            raise subprocess.CalledProcessError(100, "apt-cache", shown, "E: No packages found")
        return shown

    def download(self, arguments: Sequence[str], cwd: Path | None) -> str:
        name, _, version = arguments[-1].partition("=")
        source = (self.pool or Path("/none")) / f"{name}.deb"
        if not source.exists():
            raise subprocess.CalledProcessError(100, "apt-get", "", "E: Failed to fetch  404  Not Found")
        assert cwd is not None
        assert len(os.fsencode(cwd)) <= LONGEST_PATH, "apt-get would download into /"
        (cwd / f"{name}_{version}_amd64.deb").write_bytes(source.read_bytes())
        return ""


def debian(name: str, version: str = "6.12.7-1", depends: str = "") -> Control:
    control = {"Package": name, "Version": version, "Maintainer": "Debian <k@lists.debian.org>"}
    return control | ({"Depends": depends} if depends else {})
