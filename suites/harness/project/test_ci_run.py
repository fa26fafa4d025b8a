# SPDX-License-Identifier: GPL-2.0-or-later
"""`.ci/run`, with a tox that a script simulates."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from suites.harness.checkout import ROOT

TOX = """\
#!/bin/sh
echo "tox $*" >> "$CALLS"
case "$*" in
*--make-only*) exit "$MADE" ;;
"-e tests"*) exit "$TESTS" ;;
*arm64*) exit "$ARM64" ;;
*) exit "$TALK" ;;
esac
"""


@pytest.mark.parametrize(
    ("tests", "arm64", "made", "talk", "calls", "status"),
    [
        (0, 0, 0, 0, ["tests", "arm64", "make", "talk"], 0),
        (0, 0, 0, 1, ["tests", "arm64", "make", "talk"], 1),
        (0, 0, 4, 0, ["tests", "arm64", "make"], 0),
        (0, 1, 0, 0, ["tests", "arm64"], 1),
        (0, 3, 0, 0, ["tests", "arm64"], 3),
        (0, 4, 0, 0, ["tests", "arm64", "make", "talk"], 0),
        (3, 0, 0, 0, ["tests"], 3),
    ],
    ids=[
        "held",
        "broken-on-the-other-host",
        "no-other-host",
        "broken-on-arm64",
        "error-on-arm64",
        "no-arm64",
        "tests-failed",
    ],
)
def test_ci_fails_if_arm64_or_another_host_fails_but_not_if_there_is_none(
    tmp_path: Path, tests: int, arm64: int, made: int, talk: int, calls: list[str], status: int
) -> None:
    for name, content in {"tox": TOX, "debootstrap": "#!/bin/sh\n"}.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    log = tmp_path / "calls"
    ends = {"TESTS": tests, "ARM64": arm64, "MADE": made, "TALK": talk}
    variables = {**ends, "CALLS": log, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [ROOT / ".ci" / "run", "--kernel=x"],
        env={**os.environ, **{name: str(value) for name, value in variables.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    kinds = {
        "-e tests -- --kernel=x": "tests",
        ":arm64@trixie -k talk": "arm64",
        "--make-only": "make",
        "-k talk": "talk",
    }
    lines = log.read_text().splitlines()
    assert [next(kind for end, kind in kinds.items() if line.endswith(end)) for line in lines] == calls
    assert ("could not be made" in done.stderr) == (calls[-1] == "make")
    assert ("was not tried on arm64" in done.stderr) == (arm64 == 4)
