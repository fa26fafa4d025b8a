# SPDX-License-Identifier: GPL-2.0-or-later
"""Quoting of what comes from outside, and guesses at what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import KconformError, UsageError
from common.text import did_you_mean, nearest, printable, printable_lines


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain words", "plain words"),
        ("", ""),
        ("Größe 字", "Größe 字"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\nb\r\tc\x07\x00", r"a\nb\r\tc\x07\x00"),
        ("right\u202eleft\u2066", r"right\u202eleft\u2066"),
        ("two\u2028lines\x85", r"two\u2028lines\x85"),
        (b"not \xff UTF-8", r"not \udcff UTF-8"),
        (Path("a\nb"), r"a\nb"),
    ],
)
def test_what_does_not_print_is_spelled_out_on_one_line(given: str | bytes | Path, shown: str) -> None:
    assert printable(given) == shown
    assert printable(shown) == shown, "quoting twice changes nothing"


def test_a_long_text_is_cut() -> None:
    assert printable("x" * 100, 10) == "xxxxxxx..."
    assert printable("x" * 10, 10) == "x" * 10


def test_a_second_line_never_begins_at_the_margin() -> None:
    forged = "the kernel complained\n::error file=a.c::forged\n##[error]\r::forged\n    indented\n"
    assert printable_lines(forged) == (
        "the kernel complained\n  ::error file=a.c::forged\n  ##[error]\\r::forged\n    indented\n"
    )
    assert printable_lines(printable_lines(forged)) == printable_lines(forged)


@pytest.mark.parametrize("kind", [KconformError, UsageError])
def test_an_error_prints_whatever_it_quotes(kind: type[KconformError]) -> None:
    error = kind("no \x1b[31mfile\n::error::forged", hint="name\x07 another")
    assert str(error) == "no \\x1b[31mfile\n  ::error::forged\n  hint: name\\x07 another"
    placed = error.at("a.toml:3")
    assert type(placed) is kind
    assert placed.message == "a.toml:3: no \\x1b[31mfile\n  ::error::forged"
    assert placed.hint == error.hint


def test_a_word_that_is_nearly_known_is_suggested() -> None:
    known = ["seccomp", "yama", "loadpin"]
    assert nearest("secomp", known) == ["seccomp"]
    assert did_you_mean("secomp", known) == "; did you mean 'seccomp'?"
    assert did_you_mean("ipe", known) == ""
    assert did_you_mean("full-1", ["full-2", "full-3"]) == "; did you mean 'full-3' or 'full-2'?"
