# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests: boots a kernel once, clones it for each test, and lets the test make system calls in the clone.

A template is the saved state of a booted kernel.  A guest is a running clone of it.  A task is a process or thread of
a guest that makes the calls that a test orders; the agent, which is the guest's init, passes the orders on.

    guest, session, task, outcome   the objects that a test uses
    syscalls/                       the groups of calls that a task can make
    protocol/, agent/               frames between the host and the agent; the agent, in C
    vm/                             boots, templates, QEMU, disks, the pool of clones
    log/                            the kernel's log, splats, taint
    target/                         guests on a machine that already runs
    host/                           the doctor, and the packages that this machine needs
    live/, reproducer/              a failed test's guest to look into; a C program that repeats a test
"""
