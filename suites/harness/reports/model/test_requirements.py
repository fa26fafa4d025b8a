# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of requirements, and to which versions of Linux a promise applies."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UsageError
from reports.model.requirements import Requirement, load

GOOD = """
[[requirement]]
id = "yama.scope-1"
text = "At scope 1 a task may attach only to its descendants."
source = "security/yama/yama_lsm.c"
since = "3.4"
"""


def write_toml(root: Path, text: str, area: str = "yama") -> Path:
    folder_ = root / area
    folder_.mkdir(exist_ok=True)
    (folder_ / "requirements.toml").write_text(text)
    return root


class TestRequirements:
    def test_a_file_is_read_into_records(self, tmp_path: Path) -> None:
        found = load(write_toml(tmp_path, GOOD))
        assert list(found) == ["yama.scope-1"]
        assert found["yama.scope-1"].area == "yama"
        assert found["yama.scope-1"].until is None

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            pytest.param("[[requirement]\n", ":1: not a list of requirements: this is not TOML", id="no-toml"),
            pytest.param(GOOD.replace('since = "3.4"\n', ""), "(yama.scope-1): 'since' is missing", id="missing-key"),
            pytest.param(GOOD + 'untill = "4.0"\n', "did you mean 'until'", id="misspelt-key"),
            pytest.param(GOOD.replace('"3.4"', "3.4"), "'since' must be a non-empty string", id="number"),
            pytest.param(GOOD.replace('"3.4"', '"v3"'), "'since' must be a kernel version", id="no-version"),
            pytest.param(GOOD + 'stable = ["6.x"]\n', "'6.x' is not a kernel version", id="stable-no-version"),
            pytest.param(
                GOOD.replace('"3.4"', '"6.12.110"') + 'stable = ["6.12.3"]\n',
                "6.12.3 is not of an older stable series than 6.12.110",
                id="stable-but-not-older",
            ),
            pytest.param(GOOD.replace('"3.4"', '"6.12"') + 'stable = ["6.1"]\n', "6.1 is not of an", id="no-series"),
            pytest.param(GOOD + 'successor = "yama.scope-1"\n', "must have 'until'", id="successor-of-no-end"),
            pytest.param(
                GOOD + 'until = "6.1"\nsuccessor = "yama.scope"\n',
                "'successor' is no requirement: 'yama.scope'",
                id="unknown-successor",
            ),
            pytest.param(GOOD + GOOD, "another requirement with the id 'yama.scope-1'", id="twice"),
            pytest.param(GOOD.replace("yama.s", "loadpin.s"), "must look like 'yama.scope-1'", id="other-area"),
            pytest.param("[requirement]\nid = 'yama.x'\n", "two brackets", id="one-bracket"),
            pytest.param(
                "[[requirements]]\nid = 'yama.x'\n",
                "unknown key 'requirements'; did you mean 'requirement'",
                id="plural",
            ),
        ],
    )
    def test_a_bad_file_is_wrong_use_with_its_place(self, tmp_path: Path, text: str, complaint: str) -> None:
        with pytest.raises(UsageError) as caught:
            load(write_toml(tmp_path, text))
        assert str(tmp_path / "yama" / "requirements.toml") in str(caught.value)
        assert complaint in str(caught.value)

    @pytest.mark.parametrize(
        ("since", "until", "version", "reason"),
        [
            ("5.9", None, (5, 4), "since Linux 5.9, this is 5.4"),
            ("5.9", None, (5, 9), ""),
            ("5.9", None, (6, 1, 0), ""),
            ("5.9", None, (5, 10, 3), ""),
            ("5.9.0", None, (5, 9), ""),
            ("5.9.1", None, (5, 9), "since Linux 5.9.1, this is 5.9"),
            ("3.4", "6.5", (6, 5, 13), ""),
            ("3.4", "6.5", (6, 6), "until Linux 6.5, this is 6.6"),
            ("3.4", "6.5", (7,), "until Linux 6.5, this is 7"),
            ("3.4", None, (), ""),
        ],
    )
    def test_a_promise_applies_from_one_version_to_another(
        self, since: str, until: str | None, version: tuple[int, ...], reason: str
    ) -> None:
        assert Requirement("yama.x", "text", "source", since, until).versions.excludes(version) == reason

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ("", "since Linux 3.4"),
            ('until = "6.5"\n', "since Linux 3.4, until Linux 6.5"),
            ('probe = "addfd-flag SEND"\n', "since Linux 3.4, or where the kernel has addfd-flag SEND"),
        ],
    )
    def test_which_kernels_make_the_promise_is_said(self, tmp_path: Path, more: str, said: str) -> None:
        assert load(write_toml(tmp_path, GOOD + more))["yama.scope-1"].applicability == said

    def test_what_differs_between_architectures_is_said(self, tmp_path: Path) -> None:
        more = """note = "A note."
arches = ["x86_64", "aarch64"]
differs = ["aarch64: It returns 0 (arch/arm64/x.c: f())."]
"""
        found = load(write_toml(tmp_path, GOOD + more))["yama.scope-1"]
        assert found.arches == ("x86_64", "aarch64")
        assert found.remarks == "A note. Only on x86_64 and aarch64. On aarch64: It returns 0 (arch/arm64/x.c: f())."

    @pytest.mark.parametrize("text", ["It returns 0 (x.c).", "aarch64: It returns 0.", "aarch64 It returns 0 (x.c)."])
    def test_a_difference_has_its_architecture_and_its_source(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(UsageError, match="'differs' must be like"):
            load(write_toml(tmp_path, f'{GOOD}differs = ["{text}"]\n'))

    def test_older_stable_series_are_said(self, tmp_path: Path) -> None:
        text = GOOD.replace('"3.4"', '"6.12.110"') + 'stable = ["6.1.188", "5.15.210"]\n'
        said = "since Linux 6.12.110, in 6.1 since 6.1.188, in 5.15 since 5.15.210"
        assert load(write_toml(tmp_path, text))["yama.scope-1"].applicability == said
