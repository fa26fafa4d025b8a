# SPDX-License-Identifier: GPL-2.0-or-later
"""A supervisor with a file to add to its target (SECCOMP_IOCTL_NOTIF_ADDFD)."""

from __future__ import annotations

from guests.bpf import notify, policy
from guests.guest import Guest
from guests.outcome import EBADF, OK, Outcome, returned
from guests.syscalls.base import Pending
from guests.syscalls.seccomp import FilterFlag, Notification
from guests.task import Task
from suites.seccomp.support.filtered_tasks import SupervisedPair, check_equal

NOTIFY = policy(notify("getppid"))
FREE, CHOSEN = 3, 50
"""The lowest free number in a target, and another free one."""
SECRET = b"what the supervisor has opened"


class AddFdPair(SupervisedPair):
    """A supervisor that has opened a file, and a target whose call waits for its reply."""

    def __init__(self, guest: Guest, flags: FilterFlag = FilterFlag.NONE, *, waiting: bool = True) -> None:
        """`waiting`: the target makes its call now; otherwise, with `wait`, when it is prepared."""
        super().__init__(guest, NOTIFY, flags)
        guest.write_file("/tmp/secret", SECRET, create=True).result()  # noqa: S108
        self.file = self.supervisor.open("/tmp/secret").result()  # noqa: S108
        self.call: Pending
        self.notif: Notification
        if waiting:
            self.wait()

    def wait(self) -> None:
        """Let the target make a call, which waits for the reply."""
        self.call, self.notif = self.call_and_receive("getppid")

    def begin_add(self, **how: int | bytes) -> Pending:
        options: dict[str, int | bytes] = {"id_": self.notif.id, "descriptor": self.file, **how}
        return self.supervisor.begin_add_fd(self.listener, **options)  # type: ignore[arg-type]

    def add(self, **how: int | bytes) -> Outcome:
        return self.begin_add(**how).outcome()

    def check_finish(self) -> None:
        """The call still waits for its reply."""
        check_equal(self.reply(self.notif, value=77), OK)
        check_equal(self.call.outcome(), returned(77))

    def check_has(self, *numbers: int, task: Task | None = None) -> None:
        """The target (or `task`) can read the supervisor's file at these numbers; its call must be over."""
        for number in numbers:
            self.supervisor.call("lseek", self.file, 0, 0).result()
            found = (task or self.target).read(number, len(SECRET))
            check_equal(found, returned(len(SECRET)))
            check_equal(found.read(), SECRET)

    def check_has_nothing(self, *numbers: int) -> None:
        """The target has nothing open at these numbers; its call must be over."""
        for number in numbers:
            check_equal(self.target.read(number), EBADF)
