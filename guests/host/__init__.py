# SPDX-License-Identifier: GPL-2.0-or-later
"""The host: its dependencies, and the packages that provide them."""
