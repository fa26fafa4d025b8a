# SPDX-License-Identifier: GPL-2.0-or-later
"""What a process inherits from whoever started it, and may not be as every program expects it.

Dispositions and masks of signals survive execve(2), and so does a closed standard input.  Some supervisors, editors
and language runtimes start their children with such leftovers.
"""

from __future__ import annotations

import os
import signal

USED = frozenset(
    {signal.SIGALRM, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGTERM},
)
"""The signals that must arrive: those that end a run or a test, and that of a child's end."""


def restore() -> None:
    """Let exit statuses be kept and signals arrive, and open the standard descriptors that are closed.

    While SIGCHLD is ignored, the kernel keeps no exit status (wait(2)), and Python reports 0 for every child: a QEMU
    that was killed would count as one that its guest has shut down, and a failed compiler as a successful one.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, USED)
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number: the next file would otherwise get it, and a child another meaning of it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
