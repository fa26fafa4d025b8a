# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading the counters of a guest whose kernel counts which lines it executes (CONFIG_GCOV_KERNEL).

The kernel offers the counters of each source file as a file in debugfs, in the format that gcov reads
(Documentation/dev-tools/gcov.rst).  They begin with the boot, so a clone also has those of its template.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable

from guests.errors import AgentError
from guests.session import Session
from kconfigs.build.gcov_notes import DEBUGFS, CountedFile


def read_counters(guest: Session, files: Iterable[CountedFile]) -> dict[str, bytes]:
    """The counters by source file.  Call it after the test: init mounts debugfs, which the test must not see.

    KconformError or GuestBroke if the guest cannot give them, such as one whose kernel has gone down.
    """
    mounted = guest.init.mount("debugfs", DEBUGFS, "debugfs")
    if mounted.errno not in (0, errno.EBUSY):
        raise AgentError(f"the counters cannot be read: {mounted!r}", hint="has the test changed init?")
    return {file.source: guest.read_bytes(file.counters) for file in files}
