# SPDX-License-Identifier: GPL-2.0-or-later
"""Many runs together: which promise was held by which build of a kernel, since when, and how steadily."""
