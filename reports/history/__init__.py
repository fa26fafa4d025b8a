# SPDX-License-Identifier: GPL-2.0-or-later
"""Many runs together: which promise held on which build of a kernel, since when it is broken, and what is flaky."""
