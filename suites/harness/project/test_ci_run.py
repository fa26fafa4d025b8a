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
*) exit "$TALK" ;;
esac
"""


@pytest.mark.parametrize(
    ("tests", "made", "talk", "calls", "status"),
    [
        (0, 0, 0, ["tests", "make", "talk"], 0),
        (0, 0, 1, ["tests", "make", "talk"], 1),
        (0, 4, 0, ["tests", "make"], 0),
        (3, 0, 0, ["tests"], 3),
    ],
    ids=["held", "broken-on-the-other-host", "no-other-host", "tests-failed"],
)
def test_ci_fails_if_another_host_fails_but_not_if_none_can_be_created(
    tmp_path: Path, tests: int, made: int, talk: int, calls: list[str], status: int
) -> None:
    for name, content in {"tox": TOX, "debootstrap": "#!/bin/sh\n"}.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    log = tmp_path / "calls"
    variables = {"TESTS": tests, "MADE": made, "TALK": talk, "CALLS": log, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        [ROOT / ".ci" / "run", "--kernel=x"],
        env={**os.environ, **{name: str(value) for name, value in variables.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    kinds = {"-e tests -- --kernel=x": "tests", "--make-only": "make", "-k talk": "talk"}
    lines = log.read_text().splitlines()
    assert [next(kind for end, kind in kinds.items() if line.endswith(end)) for line in lines] == calls
    assert ("could not be made" in done.stderr) == (calls[-1] == "make")
