# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings files: every complaint names the file, the line, the table and the key."""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from common.toml import Table, read
from common.toml_lines import lines_of
from common.versions import VersionRange
from suites.harness import hostile_files as hostile
from suites.harness.checkout import ROOT

SAMPLE = '''\
# A comment, [[kernel]]
title = "two"

[[kernel]]
id = "first"
text = """
a text of several lines
[[kernel]]
spec = "not here"
"""
spec = "source"

[[kernel]]
flavors = [
    "full",   # with a comment
    "hardened",
]
until = "6.12"
since = "5.11"
expires = 2027-06-30
splat = "WARNING: .*"
'''


@pytest.fixture
def parse(tmp_path: Path) -> Callable[[str], Table]:
    def of(text: str) -> Table:
        path = tmp_path / "a.toml"
        path.write_text(text, newline="")
        return read(path, "matrix", shown="a.toml")

    return of


def test_places_are_lines_of_the_file(parse: Callable[[str], Table]) -> None:
    file = parse(SAMPLE)
    first, second = file.tables("kernel")
    assert file.place("title") == "a.toml:2"
    assert first.place() == "a.toml:4: [[kernel]] 1 (first)"
    assert first.place("spec") == "a.toml:11: [[kernel]] 1 (first)"
    assert second.place() == "a.toml:13: [[kernel]] 2"
    assert second.place("until") == "a.toml:18: [[kernel]] 2"
    assert second.place("nothing") == second.place(), "what is not there is missing in its table"


def test_values_are_read(parse: Callable[[str], Table]) -> None:
    first, second = parse(SAMPLE).tables("kernel")
    assert first.sentence("text") == 'a text of several lines [[kernel]] spec = "not here"'
    assert first.text("absent", "") == ""
    assert first.versions() == VersionRange()
    assert second.texts("flavors") == ["full", "hardened"]
    assert second.texts("absent", ["full"]) == ["full"]
    assert second.choices("flavors", ["full", "hardened", "mine"]) == ["full", "hardened"]
    assert second.versions() == VersionRange((5, 11), (6, 12))
    assert second.date("expires") == datetime.date(2027, 6, 30)
    assert second.pattern("splat").search("a WARNING: here")


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1\nb.c = 2\n", ("b", "c"), 2),
        ('\n"b.c" = 2\n', ("b.c",), 2),
        ('"a\\".b" = 2\n', ('a".b',), 1),
        ("[a . 'b.c']\nd = 1\n", ("a", "b.c", "d"), 2),
        ("[[x]]\n[[x.y]]\n[[x.y]]\nz = 1\n[[x]]\n[[x.y]]\nz = 2\n", ("x", 1, "y", 0, "z"), 7),
        ("[[x]]\n[[x.y]]\n[[x.y]]\nz = 1\n[[x]]\n[[x.y]]\nz = 2\n", ("x", 0, "y", 1, "z"), 4),
        ("[[x]]\r\n[x.t]\r\nz = 1\r\n", ("x", 0, "t", "z"), 3),
    ],
)
def test_every_kind_of_head_and_key_has_its_line(text: str, path: tuple[str | int, ...], line: int) -> None:
    assert lines_of(text)[path] == line


def test_tables_on_one_line_are_at_that_line(parse: Callable[[str], Table]) -> None:
    first, second = parse('\nkernel = [{spec = "a"}, {spec = "b"}]\n').tables("kernel")
    assert [first.place("spec"), second.place("spec")] == ["a.toml:2: [[kernel]] 1", "a.toml:2: [[kernel]] 2"]


def test_tables_may_be_nested_or_absent(parse: Callable[[str], Table]) -> None:
    file = parse('[tool.kconform]\n[[tool.kconform.kernel]]\nspec = "a"\n')
    assert [table.place("spec") for table in file.tables("tool.kconform.kernel")] == [
        "a.toml:3: [[tool.kconform.kernel]] 1"
    ]
    assert file.tables("kernel") == file.tables("tool.other.kernel") == []


@pytest.mark.parametrize(
    ("text", "use", "message"),
    [
        ("x = 1", lambda table: table.check(optional=["y"]), "a.toml:1: unknown key 'x'"),
        (
            "\nspecs = 1",
            lambda table: table.check(required=["spec"]),
            "a.toml:2: unknown key 'specs'; did you mean 'spec'?",
        ),
        ("", lambda table: table.check(required=["spec"]), "a.toml: 'spec' is missing"),
        ("\n[kernel]", lambda table: table.tables("kernel"), "a.toml:2: 'kernel' must be written as [[kernel]]"),
        ("", lambda table: table.text("spec"), "a.toml: 'spec' is missing"),
        (
            "spec = 1",
            lambda table: table.text("spec"),
            "a.toml:1: 'spec' must be a non-empty string in quotes, not 1",
        ),
        ('spec = " "', lambda table: table.text("spec", ""), "'spec' must be a non-empty string in quotes, not ' '"),
        ('of = "full"', lambda table: table.texts("of"), "a.toml:1: 'of' must be a list of strings in quotes"),
        ("of = []", lambda table: table.texts("of"), "a.toml:1: 'of' must be a list of strings in quotes"),
        ('of = ["a", 1]', lambda table: table.texts("of"), "a.toml:1: 'of' must be a list of strings in quotes"),
        (
            'a = "ful"',
            lambda table: table.choice("a", ["full"]),
            "a.toml:1: 'a' cannot be 'ful'; did you mean 'full'?",
        ),
        ('a = ["ful"]', lambda table: table.choices("a", ["full"]), "'a' cannot be 'ful'; did you mean 'full'?"),
        ('day = "2027-06-30"', lambda table: table.date("day"), "a.toml:1: 'day' must be a date such as 2027-06-30"),
        ("day = 2027-06-30T10:00:00", lambda table: table.date("day"), "'day' must be a date such as 2027-06-30"),
        ('like = "("', lambda table: table.pattern("like"), "a.toml:1: 'like' is not a regular expression"),
        ('\nuntil = "6.x"', Table.versions, "a.toml:2: 'until' must be a kernel version such as '6.12', not '6.x'"),
        ("since = 6.1", Table.versions, "a.toml:1: 'since' must be a non-empty string in quotes, not 6.1"),
        ('since = "6.2"\nuntil = "6.1"', Table.versions, "a.toml:2: since 6.2, until 6.1: no version is in between"),
        ("a = '''\n\x1b[31m'''", lambda table: table.text("a", "") and table.date("a"), "not '\\\\x1b[31m'"),
    ],
)
def test_a_complaint_names_line_and_key(
    parse: Callable[[str], Table], text: str, use: Callable[[Table], object], message: str
) -> None:
    if "\x1b" in text:
        text = text.replace("'''\n\x1b[31m'''", '"\\u001b[31m"')  # TOML allows no control characters but as escapes
    with pytest.raises(UsageError) as caught:
        use(parse(text))
    assert message.replace("\\\\", "\\") in caught.value.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = 1\nb = \xff\n", "a.toml:2: not a matrix: the file is not UTF-8 text"),
        (b"a = 1\nb =\n", "a.toml:2: not a matrix: this is not TOML: Invalid value"),
        (b"a = 1\n[[", "a.toml:2: not a matrix: this is not TOML: Invalid initial character for a key part"),
        (b"a = 1\na = 1\n", "a.toml:2: not a matrix: this is not TOML: Cannot overwrite a value"),
        (b"x = " + b"[" * 5000, "a.toml: not a matrix: the values are nested too deeply"),
    ],
)
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read(path, "matrix", shown="a.toml")
    assert caught.value.message == message


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the matrix cannot be read: Is a directory"):
        read(tmp_path, "matrix")
    with pytest.raises(UsageError, match="the matrix cannot be read: No such file or directory"):
        read(tmp_path / "absent", "matrix")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert read(path, "matrix").content == {"a": 1}


class TestHostile:
    """Files that somebody made to harm their reader."""

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            pytest.param(b"a = " + b"[" * 5000, "the values are nested too deeply", id="lists"),
            pytest.param(b"a = " + b"{b = " * 5000, "the values are nested too deeply", id="tables"),
            pytest.param(b"a = " + b"1" * 5000, "the matrix cannot be read: Exceeds the limit", id="digits"),
            pytest.param(b"\na" + b".a" * 200_000 + b" = 1", "a.toml:2: not a matrix: a key has more", id="long-key"),
            pytest.param(b"[" + b'"a" . ' * 200 + b"a]", "a.toml:1: not a matrix: a key has more", id="long-head"),
            pytest.param(b"a = 1\0", "this is not TOML", id="nul"),
            pytest.param(b"a = 1\n" * 1_000_000, "is larger than 512 KiB, which no matrix is", id="6-MB"),
        ],
    )
    def test_it_is_refused(self, tmp_path: Path, content: bytes, message: str) -> None:
        path = tmp_path / "a.toml"
        path.write_bytes(content)
        with pytest.raises(UsageError) as caught:
            read(path, "matrix", shown="a.toml")
        assert message in caught.value.message
        assert len(caught.value.message) < 200

    @pytest.mark.parametrize(
        "content",
        [
            "a = [\n" + "1,\n" * 100_000 + "]",
            'a = """\n' + "x\n" * 150_000 + '"""',
            "a = '''\n" + "]\n" * 150_000 + "'''",
            "".join(f"k{number} = 1\n" for number in range(30_000)),
            '# "\n' * 60_000,
        ],
        ids=["list", "text", "literal-text", "keys", "comments"],
    )
    def test_many_lines_take_seconds_not_hours(self, tmp_path: Path, content: str) -> None:
        """Their places are found in one pass; this would not end if each line were tried with those before it."""
        path = tmp_path / "a.toml"
        path.write_text(f"{content}\nlast = 1\n")
        file = read(path, "matrix", shown="a.toml")
        assert file.place("last") == f"a.toml:{content.count(chr(10)) + 2}"

    @pytest.mark.parametrize("use", [Table.check, lambda table: table.choice("a", ["full"])], ids=["key", "value"])
    def test_what_is_quoted_is_cut(self, parse: Callable[[str], Table], use: Callable[[Table], object]) -> None:
        with pytest.raises(UsageError) as caught:
            use(parse(f'a = "{"x" * 100_000}"\n{"y" * 100_000} = 1\n'))
        assert len(caught.value.message) < 200

    @pytest.mark.parametrize("pattern", ["(" * 5000, "a{99999999999999999999}", "(?P<a>" * 150], ids=repr)
    def test_a_pattern_that_python_does_not_take(self, parse: Callable[[str], Table], pattern: str) -> None:
        with pytest.raises(UsageError, match="'a' is not a regular expression: "):
            parse(f"a = '{pattern}'").pattern("a")

    @pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
    def test_what_is_no_file_is_refused(self, tmp_path: Path, kind: str) -> None:
        path = hostile.not_a_file(tmp_path / "a.toml", kind)
        with pytest.raises(UsageError, match="the matrix cannot be read: "):
            read(path, "matrix")

    @pytest.mark.parametrize("option", ["--matrix", "--profile", "--waivers"])
    def test_a_run_ends_with_4(self, tmp_path: Path, option: str) -> None:
        path = hostile.sparse(tmp_path / "a.toml", 1 << 40)
        code = f"import resource, sys, pytest\nresource.setrlimit(resource.RLIMIT_AS, ({hostile.MEMORY},) * 2)\n"
        done = subprocess.run(
            [
                *(sys.executable, "-c", f"{code}sys.exit(pytest.main(sys.argv[1:]))", f"{option}={path}"),
                *("--collect-only", "-q", f"--report-dir={tmp_path / 'report'}", "-p", "no:cacheprovider"),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 4, done.stderr[-1000:] + done.stdout[-1000:]
        assert "is larger than 512 KiB" in done.stderr + done.stdout
        assert [one.name for one in tmp_path.iterdir()] == ["a.toml"]
