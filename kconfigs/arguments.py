# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines whose wrong use ends as this project's does."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from common.errors import UsageError


class Parser(argparse.ArgumentParser):
    """argparse, with our exit status for wrong use: its own 2 would say `interrupted`."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(UsageError.exit_status, f"{self.prog}: error: {message}\n")
