# SPDX-License-Identifier: GPL-2.0-or-later
"""The host: the programs and headers that kconform needs there, and the packages that provide them."""
