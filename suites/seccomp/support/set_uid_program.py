# SPDX-License-Identifier: GPL-2.0-or-later
"""A copy of the program that every task runs, which is root's and has the set-uid bit."""

from __future__ import annotations

from guests.guest import Guest

SET_UID = "/tmp/set-uid"  # noqa: S108 - in the guest


def make_set_uid_program(guest: Guest) -> None:
    root = guest.root()
    root.copy_file("/init", SET_UID)
    root.chmod(SET_UID, 0o4755).result()
