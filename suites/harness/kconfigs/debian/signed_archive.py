# SPDX-License-Identifier: GPL-2.0-or-later
"""An archive of our own that gpg has signed."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from kconfigs.debian.apt import Apt, run_command
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.fake_kernels import PACKAGE


class Signer:
    """A key, and the keyring file that knows it."""

    def __init__(self, home: Path, name: str) -> None:
        home.mkdir(mode=0o700)
        self._gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
        self.run("--passphrase", "", "--quick-generate-key", f"{name} <{name}@example.org>", "ed25519", "sign")
        self.keyring = home / f"{name}-archive-keyring.gpg"
        self.keyring.write_bytes(self.run("--export"))

    def run(self, *arguments: str) -> bytes:
        return subprocess.run([*self._gpg, *arguments], capture_output=True, check=True).stdout

    def stop(self) -> None:
        subprocess.run(["gpgconf", "--homedir", self._gpg[2], "--kill", "all"], check=True)


class Repository:
    """An archive with one suite, `testing`, that offers one kernel."""

    def __init__(self, root: Path, signer: Signer | None, more: Mapping[str, str] | None = None) -> None:
        self.uri = f"file:{root}"
        self.index = root / "dists/testing/main/binary-amd64/Packages"
        self.index.parent.mkdir(parents=True)
        (root / "pool").mkdir()
        package = fakes.kernel_deb(root / "pool" / "kernel.deb").read_bytes()
        fields = {
            "Package": PACKAGE,
            "Version": "6.12.7-1",
            "Architecture": "amd64",
            "Maintainer": "Debian <k@lists.debian.org>",
            "Filename": "pool/kernel.deb",
            "Size": len(package),
            "SHA256": hashlib.sha256(package).hexdigest(),
            **(more or {}),
        }
        self.index.write_text("".join(f"{name}: {value}\n" for name, value in fields.items()))
        content = self.index.read_bytes()
        release = root / "dists/testing/Release"
        release.write_text(
            "Origin: Debian\nLabel: Debian\nSuite: testing\nCodename: testing\n"
            "Date: Sat, 21 Nov 2026 00:00:00 UTC\nArchitectures: amd64\nComponents: main\nSHA256:\n"
            f" {hashlib.sha256(content).hexdigest()} {len(content)} main/binary-amd64/Packages\n"
        )
        if signer is not None:
            signer.run("--clearsign", "--output", str(release.with_name("InRelease")), str(release))

    def machine(self) -> Apt:
        """The apt of a machine that uses this archive, and knows none of its suites."""
        return Apt(lambda command, cwd: self.run(command, cwd))

    def run(self, command: Sequence[str], cwd: Path | None) -> str:
        if command[1] == "indextargets":
            return f"Repo-URI: {self.uri}\nOrigin: Debian\nLabel: Debian\nRelease: testing\n"
        return run_command(command, cwd)
