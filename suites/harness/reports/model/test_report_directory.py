# SPDX-License-Identifier: GPL-2.0-or-later
"""Report directories: what belongs to a former report."""

from __future__ import annotations

from pathlib import Path

from reports.model import report_directory


def test_only_a_former_report_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    files = [tmp_path / name for name in ("index.html", "report.html", "junit.xml")]
    for path in files:
        path.touch()
    report_directory.clear_former(tmp_path)
    assert (tmp_path / "evidence").is_dir()
    assert all(path.exists() for path in files)
    (tmp_path / "results.json").write_text('{"schema": 1, "run": {}, "results": []}')
    report_directory.clear_former(tmp_path)
    assert not (tmp_path / "evidence").exists()
    assert not any(path.exists() for path in files)
