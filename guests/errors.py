# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors around a guest: harness errors, which leave the result open, and GuestBroke, a fault of the kernel."""

from __future__ import annotations

from collections.abc import Mapping

from common.errors import KconformError, UsageError

__all__ = [
    "AgentError",
    "BootCrashed",
    "BootError",
    "GuestBroke",
    "HostPausedError",
    "KconformError",
    "ProtocolError",
    "QemuError",
    "SetupFailed",
    "SlowBootError",
    "StartError",
    "TargetError",
    "UsageError",
    "require",
]


class QemuError(KconformError):
    """QEMU could not be started, or ended without the kernel causing it."""


class BootError(KconformError):
    """The kernel did not boot until its agent answered; `evidence` holds the console."""

    def __init__(self, message: str, *, hint: str = "", console: str = "", crash: str = "") -> None:
        """`crash` is how the kernel went down, if it did so by itself; then it may be its own fault."""
        super().__init__(message, hint=hint)
        self.crash = crash
        self.evidence = {"console": console} if console else {}

    def __str__(self) -> str:
        console = self.evidence.get("console", "")
        tail = "\n".join(f"  | {line}" for line in console.splitlines()[-12:])
        return super().__str__() + (f"\n{tail}" if tail else "")


class SlowBootError(BootError):
    """The deadline passed while the kernel was still booting: it may only have needed more time."""


class StartError(KconformError):
    """A clone did not give its first answer, or broke when it was asked what applies to it (kernel_probes.py), so the
    test did not begin; `evidence` holds its console and log.
    """

    def __init__(self, message: str, *, evidence: Mapping[str, str]) -> None:
        super().__init__(message)
        self.evidence = dict(evidence)


class TargetError(KconformError):
    """The machine that somebody else booted cannot be reached, or does not do what a test needs: a harness error."""


class AgentError(KconformError):
    """The agent ended or refused a request, or its log or state could not be read: a harness error."""


class ProtocolError(KconformError):
    """The guest sent invalid data, so nothing that it has sent since then can be trusted.

    Whatever bytes arrive, they cause no other error.
    """

    def __init__(self, message: str) -> None:
        super().__init__(
            message, hint="the channel is damaged, or the kernel overwrote the agent's memory; run the test again"
        )


class SetupFailed(KconformError):
    """A step that a test needs, and does not judge, did not succeed: nothing was found out about its promises.

    The kernel may be to blame; then the test that is about this step says so, with a comparison.
    """

    def __init__(self, message: str, *, needs: str = "") -> None:
        """`needs` is the kernel option without which the step cannot succeed, if it depends on one."""
        super().__init__(message, hint="this step only prepares the test; see the transcript for what came before")
        self.needs = needs


def require(condition: bool, message: str) -> None:
    """SetupFailed with this message, unless the condition holds: what `assert` is in a test, for what prepares it."""
    if not condition:
        raise SetupFailed(message)


class HostPausedError(KconformError):
    """The host did not let the guest run, so a missed deadline says nothing about the kernel."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="run the test again, on a machine that is not suspended and less busy")


class GuestBroke(Exception):
    """The kernel crashed, hung or stopped answering during a test: its fault until shown otherwise."""

    verdict = "fail"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BootCrashed(GuestBroke):
    """The kernel went down by itself before its agent answered, twice, on a machine that boots another kernel."""

    def __init__(self, message: str, *, evidence: Mapping[str, str]) -> None:
        super().__init__(message)
        self.evidence = dict(evidence)
        self.breaks: tuple[str, ...] = ()
        """The promise that this breaks, which the caller knows."""

    def reported(self) -> BootError:
        """The error of every later test that needs this boot: one test accuses the kernel, and the others tell why
        they found nothing out."""
        return BootError(f"{self.message}; another test reports it", console=self.evidence.get("console", ""))
