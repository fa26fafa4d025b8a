# SPDX-License-Identifier: GPL-2.0-or-later
"""Sweeps: a task makes many calls at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from guests.errors import SetupFailed
from guests.outcome import EBADF, EINVAL, ENOSYS, exited, killed, returned
from guests.protocol import wire
from guests.protocol.wire import Entry
from guests.syscall_sweep import sweep
from guests.uapi import O_RDWR, Signal, number
from suites.harness.guests.fakes import UNUSED_FD, HostSession, x86_only


class TestSweeps:
    """A task makes many calls at once."""

    def test_each_number_has_its_outcome(self, host: HostSession) -> None:
        task = host.child("task")
        kept = task.store(b"kept")
        unknown = range(5000, 5000 + wire.SWEEP_COUNT)
        left_out = unknown[: wire.SWEEP_LEFT_OUT]
        came = sweep(task, unknown, skip=left_out)
        assert came == dict.fromkeys(unknown[wire.SWEEP_LEFT_OUT :], ENOSYS)
        assert task.load(kept, 4) == b"kept"

    def test_a_large_value_is_reported_as_the_maximum(self, host: HostSession) -> None:
        task = host.child("task")
        lseek, fd = number("lseek"), task.call("memfd_create", "file", 0).result()
        for value in (wire.SWEEP_LARGE - 1, wire.SWEEP_LARGE, wire.SWEEP_LARGE + 1, 1 << 40):
            came = sweep(task, range(lseek, lseek + 1), [fd, value, 0])
            assert came == {lseek: returned(min(value, wire.SWEEP_LARGE))}

    def test_all_calls_have_these_arguments(self, host: HostSession) -> None:
        task = host.child("task")
        lseek, fd = number("lseek"), task.open("/dev/null", O_RDWR).result()
        assert sweep(task, range(lseek, lseek + 1), [fd, 0, 7]) == {lseek: EINVAL}
        assert sweep(task, range(lseek, lseek + 1), [fd, 0, 0]) == {lseek: returned(0)}
        assert sweep(task, range(lseek, lseek + 1), [UNUSED_FD, 0, 0]) == {lseek: EBADF}

    @x86_only
    def test_a_sweep_through_another_entry(self, host: HostSession) -> None:
        task = host.child("task")
        if task.call32("getpid") in (killed(Signal.SEGV), ENOSYS):
            pytest.skip("this host's kernel has no int $0x80 (CONFIG_IA32_EMULATION)")
        close = number("close", "i386")
        assert sweep(host.child("other"), range(close, close + 1), [UNUSED_FD], entry=Entry.INT80) == {close: EBADF}

    @pytest.mark.parametrize(
        ("numbers", "skip"),
        [
            (range(wire.SWEEP_COUNT + 1), ()),
            (range(0, 10, 2), ()),
            (range(wire.SWEEP_COUNT), range(wire.SWEEP_LEFT_OUT + 1)),
        ],
        ids=["too-many", "with-gaps", "too-many-left-out"],
    )
    def test_an_invalid_sweep_is_rejected(self, host: HostSession, numbers: range, skip: Sequence[int]) -> None:
        with pytest.raises(ValueError, match="at most 1024 consecutive numbers, and skips at most 64"):
            sweep(host.child("task"), numbers, skip=skip)

    def test_a_sweep_that_kills_the_task_fails_the_test(self, host: HostSession) -> None:
        task = host.child("task")
        end = number("exit_group")
        with pytest.raises(SetupFailed, match=rf"sweep\({end}..{end} by NATIVE\) -> exited with 3"):
            sweep(task, range(end, end + 1), [3])
        assert task.death == exited(3)

    def test_the_transcript_counts_them(self, host: HostSession) -> None:
        task = host.child("task")
        sweep(task, range(5000, 5003))
        assert host.transcript[-1].strip() == f"{task}.sweep(5000..5002 by NATIVE) -> 3 x ENOSYS"
