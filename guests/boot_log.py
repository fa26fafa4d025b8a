# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel logged while a template booted, before any clone of it was made."""

from __future__ import annotations

from functools import cache

from guests.errors import AgentError
from guests.guest_text import is_cut
from guests.log import kernel_log, splats
from guests.vm.template import Template


@cache
def log_at_boot(template: Template) -> list[kernel_log.LogRecord]:
    return kernel_log.parse(template.boot_log)


@cache
def whole_log_at_boot(template: Template) -> list[str]:
    """The lines of the boot, without times.

    The kernel's buffer holds only its newest lines.  If it has lost the first ones, all are taken from the console;
    AgentError if that does not have them either, because a missing line proves nothing.
    """
    records = log_at_boot(template)
    lost = records[0].sequence if records else 0
    if not lost:
        return [record.text for record in records]
    console = template.console
    if "Linux version " not in console or is_cut(console):
        raise AgentError(
            f"the first {lost} lines of the boot were overwritten before they were read, and the console lacks them",
            hint="boot with a larger log_buf_len, or enlarge CONFIG_LOG_BUF_SHIFT",
        )
    return [splats.untimed(line) for line in console.splitlines()]


@cache
def splat_at_boot(template: Template) -> str:
    return splats.first(known_of_boot(template)) or ""


def known_of_boot(template: Template) -> list[str]:
    """What is known of the boot's log, whether or not that is all of it."""
    try:
        return whole_log_at_boot(template)
    except AgentError:
        return [*template.console.splitlines(), *(record.text for record in log_at_boot(template))]


@cache
def taint_at_boot(template: Template) -> int | None:
    return template.taint


@cache
def last_record_at_boot(template: Template) -> int:
    records = log_at_boot(template)
    if not records:
        raise AgentError(
            "the kernel's log cannot be read, so complaints would be missed", hint="is CONFIG_PRINTK enabled?"
        )
    return records[-1].sequence
