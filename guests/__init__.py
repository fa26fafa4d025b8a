# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests: booting a kernel once, cloning it for each test, and the tasks that live in a clone."""
