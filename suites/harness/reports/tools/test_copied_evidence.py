# SPDX-License-Identifier: GPL-2.0-or-later
"""What of a test's evidence is in a merged report."""

from __future__ import annotations

import os
from pathlib import Path

from reports.model import evidence
from reports.model.document import load
from reports.tools.merge import merge
from suites.harness.reports.documents import result, write


def test_the_memory_of_a_guest_is_merged_too(tmp_path: Path) -> None:
    """results.json names only the text that says how to open it."""
    crashed, other = result("yama/crash", "fail"), result("yama/other")
    folders = [tmp_path / "one" / "evidence" / evidence.slug(each["nodeid"]) for each in (crashed, other)]
    for folder, each in zip(folders, (crashed, other), strict=True):
        folder.mkdir(parents=True)
        (folder / "transcript.txt").write_text("exit()\n")
        each["evidence"] = {"transcript": f"evidence/{folder.name}/transcript.txt"}
    crashed["evidence"] |= {"vmcore": f"evidence/{folders[0].name}/vmcore.txt"}
    dumps = {"vmcore": b"ELF", "vmcoreinfo": b"OSRELEASE", "vmcore-2": b"ELF too"}
    for name, content in dumps.items():
        (folders[0] / name).write_bytes(content)
    (folders[0] / "vmcore.txt").write_text("crash vmcore\n")
    # What is not a file of this report stays where it is.
    (tmp_path / "secret").write_text("secret")
    (folders[0] / "vmcore-3").symlink_to(tmp_path / "secret")
    os.mkfifo(folders[0] / "vmcore-4")
    (folders[0] / "core").write_text("of something else")
    write(tmp_path / "one", crashed, other)

    assert merge([tmp_path / "one"], tmp_path / "out", origin="my_ci").remarks == []
    merged = tmp_path / "out" / "evidence" / folders[0].name
    assert {path.name for path in merged.iterdir()} == {*dumps, "transcript.txt", "vmcore.txt"}
    assert {name: (merged / name).read_bytes() for name in dumps} == dumps
    assert (merged / "vmcore.txt").read_text() == "crash vmcore\n"
    assert [path.name for path in (merged.parent / folders[1].name).iterdir()] == ["transcript.txt"]
    assert set(load(tmp_path / "out").results[0].evidence) == {"transcript", "vmcore"}
