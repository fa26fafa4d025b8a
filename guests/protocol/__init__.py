# SPDX-License-Identifier: GPL-2.0-or-later
"""The conversation between host and agent."""
