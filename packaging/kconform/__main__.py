# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m kconform`."""

from kconform import main

main()
