# SPDX-License-Identifier: GPL-2.0-or-later
"""A defconfig, or a fragment: a file in which an option that has its default value is left out.

`make savedefconfig` writes such files, distributions keep them, and merge_config.sh joins them.  In a .config, what
is left out is off; in one of these, it is unknown until Kconfig has completed the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from kconfigs.config_check import Finding
from kconfigs.kconfig import Config

_HEADING = re.compile(
    r"^(?:# Linux/\S+ \S+ Kernel Configuration|#+ Automatically generated file; DO NOT EDIT)", re.MULTILINE
)
"""The heading of a .config, of which some distributions remove a part, or all."""

_OPTIONS = {
    "lsm": "LSM",
    "loadpin-enforcing": "SECURITY_LOADPIN_ENFORCE",
    "yama-scope": "SECURITY_YAMA",
    "actions-logged": "SECCOMP_FILTER",
}
"""The options of findings that are named after a default."""

NOTE = (
    "this is not a complete .config, but a defconfig or a fragment: what it leaves out has a default, which may be y",
    "complete it by `make olddefconfig` in the kernel's tree, and check the result",
)
"""What is wrong with such a file, and what to do."""


def is_unfinished(text: str) -> bool:
    """Whether this is the text of a defconfig or of a fragment."""
    return not (_HEADING.search(text) or Config.parse(text).complete)


def without_guesses(findings: Iterable[Finding], text: str) -> list[Finding]:
    """The findings about an unfinished config: what it leaves out is neither missing nor off, but unknown."""
    return [_unknown(finding) if _is_guess(finding, text) else finding for finding in findings]


def _is_guess(finding: Finding, text: str) -> bool:
    return finding.state in {"ok", "missing"} and not _names(text, _OPTIONS.get(finding.name, finding.name))


def _unknown(finding: Finding) -> Finding:
    option = _OPTIONS.get(finding.name, finding.name)
    return replace(finding, state="open", text=f"CONFIG_{option} is left out, so it has its default")


def _names(text: str, option: str) -> bool:
    named = rf"^(?:CONFIG_{re.escape(option)}=|# CONFIG_{re.escape(option)} is not set)"
    return re.search(named, text, re.MULTILINE) is not None
