# SPDX-License-Identifier: GPL-2.0-or-later
"""Text from a guest or a file, as a terminal or a CI may print it."""

from __future__ import annotations

import pytest

from reports.model.display import lines, one_line, tail


def test_a_tail_says_what_it_leaves_out_and_moves_no_cursor() -> None:
    assert tail("a\nb\n\x1b[2Jc\td", 2) == "[... 1 lines before these]\nb\n\\x1b[2Jc   d"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("BUG: \x1b[2J\x1b]0;x\x07", "BUG: \\x1b[2J\\x1b]0;x\\x07"),
        ("a\u202eb", "a\\u202eb"),
        ("::error file=a.c,line=1::forged", "\\x3a:error file=a.c,line=1::forged"),
        ("  ::add-mask::kernel", "  \\x3a:add-mask::kernel"),
        ("a ##[error]forged", "a \\x23#[error]forged"),
        ("##vso[task.complete]", "\\x23#vso[task.complete]"),
        ("test_x.py::test_y[#1]", "test_x.py::test_y[#1]"),
    ],
)
def test_a_text_is_printed_such_that_nobody_obeys_it(text: str, shown: str) -> None:
    assert one_line(text) == shown
    assert lines(f"first\n{text}") == f"first\n{'' if shown.startswith('  ') else '  '}{shown}"
