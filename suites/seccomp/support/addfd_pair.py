# SPDX-License-Identifier: GPL-2.0-or-later
"""A supervisor with a file to add to its target (SECCOMP_IOCTL_NOTIF_ADDFD)."""

from __future__ import annotations

from collections.abc import Callable

from guests.bpf import notify, policy
from guests.call_plan import Plan, Running, share_a_processor, start_realtime
from guests.guest import Guest
from guests.outcome import EBADF, OK, Outcome, returned
from guests.syscalls.base import Pending
from guests.syscalls.seccomp import NOTIF_ADDFD, AddFd, FilterFlag, Notification, addfd_request
from guests.task import Task
from guests.uapi import RLIMIT_NOFILE
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

    def limit_numbers(self, limit: int) -> None:
        """Let the target have no descriptor with this number or a higher one; it may be raised again to CHOSEN."""
        self.target.call("prlimit64", 0, RLIMIT_NOFILE, self.target.abi.pack("QQ", limit, CHOSEN), None).result()

    def begin_add(self, **how: int | bytes) -> Pending:
        options: dict[str, int | bytes] = {"id_": self.notif.id, "descriptor": self.file, **how}
        return self.supervisor.begin_add_fd(self.listener, **options)  # type: ignore[arg-type]

    def add(self, **how: int | bytes) -> Outcome:
        return self.begin_add(**how).outcome()

    def plan_to_add(self, plan: Plan, flags: AddFd = AddFd.NONE) -> None:
        """Add a step that adds the supervisor's file, which its children have open, too."""
        structure = addfd_request(self.supervisor.abi, self.notif.id, self.file, flags=flags)
        plan.call("ioctl", self.listener, NOTIF_ADDFD, structure)

    def start_in_turn(self, *steps: Callable[[Plan], object]) -> list[Running]:
        """Start a supervisor for each of these steps, up to three, which waits for its turn and then makes the step.

        They have a higher priority than the target, which does not run until all have made their step or sleep in it.
        A plan's last result is that of the step.
        """
        pipes = [self.supervisor.pipe() for _ in steps[1:]]
        others = ("second", "third")[: len(pipes)]
        tasks = [self.supervisor, *(self.supervisor.spawn(name) for name in others)]
        plans = [Plan(task.slot) for task in tasks]
        for (reading, writing), former, latter in zip(pipes, plans[:-1], plans[1:], strict=True):
            latter.call("read", reading, bytes(1), 1)
            former.call("write", writing, b"x", 1)
        for plan, step in zip(plans, steps, strict=True):
            step(plan)
        share_a_processor(*tasks, self.target)
        # The last one first, so that each waits when its turn comes.
        return [start_realtime(task, plan) for task, plan in zip(tasks[::-1], plans[::-1], strict=True)][::-1]

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
