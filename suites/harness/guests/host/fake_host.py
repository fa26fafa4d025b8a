# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that shell scripts simulate: its programs, headers and package manager."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

import pytest

from guests.host import dependencies
from guests.host.dependencies import Dependency
from guests.vm import qemu_program
from suites.harness.guests.host.os_releases import OS_RELEASES

CC = """\
while read -r word rest; do
    case $word in
    '#if') header=${rest#*<}; header=${header%>*} ;;
    found) if [ -e "$HEADERS/$header" ]; then echo "found $rest"; fi ;;
    esac
done
"""
QEMU = """\
case $1 in
-device) echo 'name "virtio-9p-pci", bus PCI' ;;
*) echo 'QEMU emulator version 7.2.22 (Debian 1:7.2)' ;;
esac
"""
SETPRIV = "echo ' --pdeathsig keep|clear|<signame>'"
MANAGER = """\
echo "$DEBIAN_FRONTEND: $*" >> "$LOG"
case " $* " in
*' update '* | *' refresh '*) : > "$LISTS" ;;
*' install '* | *' -S '* | *' add '*)
    if [ ! -e "$LISTS" ]; then echo "E: Unable to locate package" >&2; exit 100; fi
    for word in "$@"; do
        if [ -e "$OFFERS/$word" ]; then . "$OFFERS/$word"; fi
    done ;;
esac
"""


class FakeHost:
    """A PATH that contains only what a test adds to it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.bin, self.headers, self.packages_for = (folder / name for name in ("bin", "headers", "packages_for"))
        for made in (self.bin, self.headers, self.packages_for):
            made.mkdir()
        self.log, self.lists = folder / "log", folder / "lists"
        self.lists.touch()
        self.cache = folder / "cache"
        monkeypatch.setattr(dependencies, "SYSTEM_PATH", str(folder / "sbin"))
        monkeypatch.setattr(qemu_program, "OTHER_PATHS", (str(folder / "libexec" / "qemu-kvm"),))
        for name, path in {
            "PATH": self.bin,
            "HEADERS": self.headers,
            "OFFERS": self.packages_for,
            "LOG": self.log,
            "LISTS": self.lists,
            "KCONFORM_CACHE": self.cache,
        }.items():
            monkeypatch.setenv(name, str(path))
        for name in ("env", "true"):
            (self.bin / name).symlink_to(f"/usr/bin/{name}")
        for dependency in dependencies.list_dependencies():
            self.add(dependency)
        monkeypatch.delenv("DEBIAN_FRONTEND", raising=False)
        self.user(0)
        self.distribution("debian-12")

    def user(self, uid: int) -> None:
        self._monkeypatch.setattr("os.geteuid", lambda: uid)

    def distribution(self, name: str) -> None:
        self._monkeypatch.setattr(platform, "freedesktop_os_release", lambda: OS_RELEASES[name])

    def program(self, name: str, script: str = "echo 1.2.3") -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def add(self, dependency: Dependency) -> None:
        if dependency.kind == "header":
            header = self.headers / dependency.name
            header.parent.mkdir(exist_ok=True)
            header.touch()
        elif dependency.kind == "program":
            scripts = {"cc": CC, "setpriv": SETPRIV}
            self.program(
                dependency.name, QEMU if "qemu" in dependency.name else scripts.get(dependency.name, "echo 1.2.3")
            )

    def lack(self, *names: str) -> None:
        for name in names:
            (self.headers / name if name.endswith(".h") else self.bin / name).unlink()

    def apt(self, **packages_for: str) -> None:
        """Add an apt-get that offers these packages, each given with the program that it contains."""
        self.manager("apt-get", packages_for)

    def manager(self, name: str, packages_for: Mapping[str, str]) -> None:
        self.program(name, MANAGER)
        for package, program in packages_for.items():
            text = f'echo "#!/bin/sh\n{SETPRIV}" > "$PATH/{program}"; /bin/chmod 755 "$PATH/{program}"\n'
            (self.packages_for / package).write_text(text)

    def sudo(self, *, asks: bool) -> None:
        self.program("sudo", "exit 1" if asks else 'shift; echo "sudo $*" >> "$LOG"; exec "$@"')

    @property
    def logged(self) -> str:
        return self.log.read_text() if self.log.exists() else ""
