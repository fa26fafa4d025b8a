# SPDX-License-Identifier: GPL-2.0-or-later
"""The protocol between host and agent: frames, the channel, requests and answers."""
