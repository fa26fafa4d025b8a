# SPDX-License-Identifier: GPL-2.0-or-later
"""Which old reports are removed, and which never are."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconform import main
from reports.model.report_directory import SIZE_LIMIT, locked, update_latest
from reports.model.result import SCHEMA
from suites.harness.reports.documents import result, write


def day(number: int) -> str:
    return f"2026-11-{number:02}T10:00:00.000Z"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Five reports, one on each of the first days of a month, in directories whose names say nothing."""
    for number, name in enumerate(("e", "d", "c", "b", "a"), 1):
        write(tmp_path / name, result("yama/scope"), started=day(number))
    return tmp_path


def left(out: Path) -> str:
    visible = (path for path in out.iterdir() if not path.name.startswith("."))
    return "".join(sorted(path.name for path in visible if not path.is_symlink()))


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (("--keep=2",), "ab"),
        (("--keep=9",), "abcde"),
        (("--keep=0",), ""),
        (("--since=2026-11-04",), "ab"),
        (("--since=2026-11-06", "--keep=1"), "a"),
        (("--since=2026-11-02", "--keep=1"), "abcd"),
    ],
)
def test_the_newest_are_kept(
    out: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], kept: str
) -> None:
    assert main(["prune", str(out), *options]) == 0
    assert left(out) == kept
    assert capsys.readouterr().out.count("removed ") == 5 - len(kept)


def test_the_latest_and_one_that_is_being_written_stay(out: Path) -> None:
    update_latest(out / "e")
    with locked(out / "d"):
        assert main(["prune", str(out), "--keep=0"]) == 0
    assert left(out) == "de"


def test_what_is_not_a_report_stays(out: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (out / "mine").mkdir()
    (out / "mine" / "results.json").write_text("{}")
    (out / "notes").touch()
    elsewhere = write(tmp_path_factory.mktemp("elsewhere") / "report", result("yama/scope"))
    (out / "link").symlink_to(elsewhere)
    assert main(["prune", str(out), "--keep=0"]) == 0
    assert left(out) == "minenotes"
    assert (elsewhere / "results.json").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "--keep N or --since DATE"),
        (("--keep=-1",), "not a number of reports"),
        (("--keep=\u0663",), "not a number of reports"),
        (("--since=yesterday",), "not a date such as"),
        (("/none", "--keep=1"), "/none: cannot be read"),
    ],
)
def test_wrong_use_is_4_and_removes_nothing(
    out: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], complaint: str
) -> None:
    place = () if arguments[:1] == ("/none",) else (str(out),)
    try:
        status = main(["prune", *place, *arguments])
    except SystemExit as ended:
        status = int(str(ended.code))
    assert status == 4
    assert complaint in capsys.readouterr().err
    assert left(out) == "abcde"


@pytest.mark.parametrize("changed", ["", "schema", "started"])
def test_one_that_is_too_large_to_be_read_is_removed_too(out: Path, changed: str) -> None:
    """Unless it is of a newer version, or does not say when it began."""
    path = out / "d" / "results.json"
    text = path.read_text()
    if changed == "schema":
        text = text.replace(f'"schema": {SCHEMA}', f'"schema": {SCHEMA + 1}')
    elif changed == "started":
        text = text.replace(f'"started": "{day(2)}"', '"started": "long ago"')
    path.write_text(text[:-2] + " " * SIZE_LIMIT + text[-2:])
    assert main(["prune", str(out), "--keep=2"]) == 0
    assert left(out) == ("abd" if changed else "ab")
