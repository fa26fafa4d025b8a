# SPDX-License-Identifier: GPL-2.0-or-later
"""A results.json that somebody made to harm its reader: refused in a sentence, in little memory and time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from kconform import main
from reports.model import document
from reports.model.document import load
from reports.model.report_directory import SIZE_LIMIT, clear_former, is_report
from suites.harness import hostile_files as hostile
from suites.harness.hostile_files import MIB
from suites.harness.reports import documents


def text(**changes: Any) -> str:
    found = documents.document([documents.result("yama/scope")])
    found["run"] |= changes
    return json.dumps(found)


HEAD = text()[:-1]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[bytes], str]:
    """What `kconform summary` says of the file."""

    def of(content: bytes) -> str:
        path = tmp_path / "results.json"
        path.write_bytes(content)
        assert main(["summary", str(tmp_path)]) == 4
        assert list(tmp_path.iterdir()) == [path]
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.isascii()
        assert "\x1b" not in said.err
        assert len(said.err) < 1000
        return said.err

    return of


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f'{HEAD}, "x": NaN}}', "NaN is not a number in JSON"),
        (f'{HEAD}, "x": -Infinity}}', "-Infinity is not a number in JSON"),
        (f'{HEAD}, "x": 1e999}}', '"1e999" is too large for a number'),
        (f'{HEAD}, "x": {"9" * 5000}}}', "this JSON cannot be read"),
        (f'{HEAD}, "schema": 1}}', 'an object has the key "schema" twice'),
        (text().replace('"outcome": "pass"', '"outcome": "fail", "outcome": "pass"'), 'the key "outcome" twice'),
        (f'{HEAD}, "x": {"[" * 1_000_000}{"]" * 1_000_000}}}', "this JSON cannot be read"),
        (f'{HEAD}, "x": {"[" * 40_000_000}', "more than 4,000,000 values"),
        (text(versions={"qemu": nested(17)}), "$.run.versions: nested more than 16 deep"),
        (text(versions={"qemu": nested(400)}), "$.run.versions: nested more than 16 deep"),
        (text(state="\x1b[31m" * 100_000), "$.run.state: invalid enum value"),
        (text(state="<script>alert(1)</script>"), "$.run.state: invalid enum value"),
        ('{"schema": 1, "run": {}, "results": []', "the file ends in the middle"),
    ],
    ids=[
        "nan", "infinity", "infinite", "long-number", "twice", "twice-within", "deep", "40-MB", "deep-versions",
        "very-deep-versions", "long-message", "markup", "cut",
    ],
)  # fmt: skip
def test_it_is_refused(refused: Callable[[bytes], str], content: str, message: str) -> None:
    assert message in refused(content.encode())


@pytest.mark.parametrize("content", [b"\xff\xfe{\0}\0", b'{"schema": "\xed\xa0\x80"}', b"\0" * 100], ids=repr)
def test_what_is_no_text_is_refused(refused: Callable[[bytes], str], content: bytes) -> None:
    assert "error: " in refused(content)


def test_values_may_be_nested_as_deep_as_is_said(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text(versions={"qemu": nested(document.DEPTH_LIMIT - 1)}))
    load(tmp_path)


def test_many_keys_of_which_one_is_there_twice_take_no_time(refused: Callable[[bytes], str]) -> None:
    keys = ", ".join(f'"{number}": 1' for number in range(300_000))
    assert 'the key "0" twice' in refused(f'{HEAD}, "x": {{{keys}, "0": 1}}}}'.encode())


@pytest.mark.parametrize(
    ("filling", "message"),
    [
        (b"[],", "more than 4,000,000 values"),
        (b"{},", "more than 4,000,000 values"),
        (b"1,", "more than 4,000,000 values"),
        ("\U0001f600".encode(), "is JSON, but not a results.json of kconform"),
        (b"x", "is JSON, but not a results.json of kconform"),
    ],
    ids=["lists", "objects", "numbers", "wide-text", "text"],
)
def test_the_largest_file_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filling: bytes, message: str
) -> None:
    # It is larger than what else is read, and until all is decoded, Python takes four bytes for each of its bytes.
    memory = 8 * SIZE_LIMIT
    code = f"import resource\nresource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))\n"
    monkeypatch.setattr(hostile, "_LIMITED", code)
    room = SIZE_LIMIT - 100
    if len(filling) == 3 or filling == b"1,":
        content = b"[" + filling * (room // len(filling)) + b"1]"
    else:
        content = b'["' + filling * (room // len(filling)) + b'"]'
    (tmp_path / "results.json").write_bytes(content)
    done = hostile.run_in_little_memory("summary", tmp_path)
    assert (done.returncode, message in done.stderr) == (4, True), done.stderr[-500:]


def test_as_many_values_as_are_allowed_take_little_memory(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes(b"[" + b"{}," * (document.VALUES_LIMIT // 2 - 10) + b"1]")
    done = hostile.run_in_little_memory("summary", tmp_path)
    assert (done.returncode, "is JSON, but not a results.json" in done.stderr) == (4, True), done.stderr[-500:]


@pytest.mark.parametrize("command", ["summary", "ktap", "page"])
def test_a_terabyte_is_refused(tmp_path: Path, command: str) -> None:
    hostile.sparse(tmp_path / "results.json", 1 << 40, HEAD.encode())
    done = hostile.run_in_little_memory(command, tmp_path)
    assert done.returncode == 4
    assert "results.json is larger than 128 MiB, which no results.json is" in done.stderr


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = hostile.not_a_file(tmp_path / "results.json", kind)
    with pytest.raises(UsageError, match="cannot be read: Not a regular file"):
        load(path)
    assert not is_report(tmp_path)


def test_a_directory_with_it_is_not_cleared_as_a_report(tmp_path: Path) -> None:
    hostile.sparse(tmp_path / "results.json", 200 * MIB, text().encode())
    (tmp_path / "evidence").mkdir()
    clear_former(tmp_path)
    assert (tmp_path / "evidence").is_dir()


def test_real_results_are_a_report(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text())
    assert is_report(tmp_path)
    (tmp_path / "results.json").write_text('{"schema": 1, "run": {}}')
    assert not is_report(tmp_path)
