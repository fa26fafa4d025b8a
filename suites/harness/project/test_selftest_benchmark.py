# SPDX-License-Identifier: GPL-2.0-or-later
"""The modification of upstream's selftest to count its assertions, and the parsing of its output."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from guests.errors import KconformError
from suites.bench.selftest_benchmark import COUNTER, count_assertions, number_in

# The macros have upstream's format, but no content.
HEADER = """\
#define EXPECT_EQ(expected, seen) \\
	__EXPECT(expected, seen, ==)
#define __EXPECT(_expected, _seen, _t) \\
	do { \\
	if (!(_expected _t _seen)) failed(); } while (0)
"""
PROGRAM = """\
#include <sys/wait.h>
#include "header.h"
static void failed(void) { }
int main(void)
{
	EXPECT_EQ(1, 1);
	if (!fork()) {
		EXPECT_EQ(1, 2);
		exit(0);
	}
	wait(0);
	return 0;
}
"""


def test_the_assertions_of_all_processes_are_counted(tmp_path: Path) -> None:
    for name, text in {"header.h": HEADER, "count.h": COUNTER, "main.c": PROGRAM}.items():
        (tmp_path / name).write_text(text)
    count_assertions(tmp_path / "header.h")
    compile_it = ["gcc", "-w", "-include", "stdlib.h", "-include", "unistd.h", "-include", "count.h", "main.c"]
    subprocess.run(compile_it, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "a.out"], capture_output=True, text=True, check=True)
    assert done.stdout == "# checks: 2\n"
    assert number_in(done.stdout, r"^# checks: (\d+)") == 2


def test_assertions_in_another_format_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "header.h").write_text("#define CHECK(a) check(a)\n")
    with pytest.raises(KconformError, match="assertions were not found"):
        count_assertions(tmp_path / "header.h")


def test_a_selftest_that_died_is_quoted() -> None:
    with pytest.raises(KconformError, match=r"printed no .*; its last line: ok 3 global"):
        number_in("ok 2 global\nok 3 global\n", r"^# Totals: pass:(\d+)")
    with pytest.raises(KconformError, match="its last line: nothing"):
        number_in("", r"^# Totals: pass:(\d+)")
