# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants: their tables are sound and fit the kernel's source, and what is edited is what they say.

No kernel is built here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import UsageError
from common.versions import VersionRange
from kconfigs.architectures import architecture
from kconfigs.build.kernel_tree import Tree, open_tree
from kconfigs.fetch import source_tree
from kconfigs.resolve import packaged_source
from suites.harness.kconfigs import fake_kernels as fakes
from suites.mutation import mutant_table
from suites.mutation.config_plans import plan_configs
from suites.mutation.mutant import Edit, EditMismatchError, Fix, Mutant, mismatches
from suites.mutation.mutant_table import HISTORY, LOADERS, MUTANTS, areas, load_history, load_mutants

SUITES = Path(__file__).parents[2]

TABLES_ARE_FOR = (6, 12)
TABLES = [(area, name) for name in LOADERS for area in areas(name)]

SOURCE = "int scope = 1;\nint other = 1;\n"
BUG = """
[[bug]]
id = "an-id"
title = "area: Fix it"
commit = "0123456789ab"
fixed = "5.2"
seen = "It was broken."
"""
EDIT = """
[[bug.edit]]
file = "a.c"
find = "scope = 1"
replace = ""
"""


MUTANT = """
[[mutant]]
id = "an-id"
text = "It is broken."
"""
EDIT_OF_MUTANT = EDIT.replace("bug", "mutant")


def mutant(
    *edits: Edit,
    identifier: str = "an-id",
    text: str = "What it breaks.",
    config: tuple[str, ...] = (),
    arch: str = "",
) -> Mutant:
    return Mutant(identifier, text, edits, config=config, arch=arch)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A tree of Linux 6.12.7 with two files to edit."""
    path = fakes.tree(tmp_path / "linux")
    (path / "a.c").write_text(SOURCE)
    (path / "b.c").write_text(SOURCE)
    return open_tree(path)


class TestShippedTables:
    @pytest.mark.parametrize(("area", "name"), TABLES)
    def test_entries(self, area: str, name: str) -> None:
        """Each has a sentence, edits with an effect, and tests that exist."""
        mutants = LOADERS[name](area)
        assert mutants
        for each in mutants:
            assert each.text.endswith("."), each.id
            assert all(edit.find != edit.replace for edit in each.edits), each.id
            if each.first:
                file, _, function = each.first.partition("::")
                assert f"def {function}" in (SUITES / area / file).read_text(encoding="utf-8"), each.id

    @pytest.mark.parametrize("area", areas(MUTANTS))
    def test_number(self, area: str) -> None:
        """There are at least 25 mutants for each area, and each names tests or an argument."""
        mutants = load_mutants(area)
        assert len(mutants) >= 25
        assert all(each.first or each.argued for each in mutants)

    @pytest.mark.parametrize(("area", "name"), TABLES)
    def test_edits_fit_their_source(self, area: str, name: str) -> None:
        """Each edit has exactly one place in the distribution's source, if the tables are for that version."""
        tree = open_tree(source_tree(packaged_source()))
        if tree.version[:2] != TABLES_ARE_FOR:
            pytest.skip(f"the source of this distribution is {tree.text_version}, and the tables are for 6.12")
        assert list(mismatches(tree, [each for each in LOADERS[name](area) if each.edits])) == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the only area that there is."""
    monkeypatch.setattr(mutant_table, "SUITES", tmp_path)
    (tmp_path / "yama").mkdir()
    return tmp_path / "yama"


class TestHistory:
    """What a history.toml may say."""

    def test_all_keys(self, folder: Path) -> None:
        keys = 'needs = ["smp", "kvm"]\nconfig = ["USERFAULTFD=y"]\nfirst = "test_a.py"\nunconfirmed = true\n'
        edit = EDIT + 'since = "6.1"\nuntil = "6.12"\n'
        (folder / HISTORY).write_text(BUG + keys + edit + EDIT.replace("a.c", "b.c"))
        (bug,) = load_history("yama")
        assert bug == Mutant(
            "an-id",
            "It was broken.",
            (Edit("a.c", "scope = 1", "", VersionRange((6, 1), (6, 12))), Edit("b.c", "scope = 1", "")),
            first="test_a.py",
            needs=("smp", "kvm"),
            config=("USERFAULTFD=y",),
            fix=Fix("area: Fix it", "0123456789ab", "5.2", confirmed=False),
        )
        assert bug.missing == "several CPUs, hardware virtualisation"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (BUG, r"\[\[bug.edit\]\] is missing"),
            (BUG + EDIT + BUG + EDIT, "'an-id' is defined twice"),
            (BUG.replace("an-id", "../id") + EDIT, "'id' may have only"),
            (BUG.replace("0123456789ab", "") + EDIT, "'commit' must be 12 or more"),
            (BUG.replace("5.2", "next") + EDIT, "'fixed': 'next' is not a kernel version"),
            (BUG + 'needs = ["luck"]' + EDIT, "'needs' cannot be 'luck'"),
            (BUG + 'config = ["sanitizers"]' + EDIT, "'config' has 'sanitizers'"),
            (BUG + "unconfirmed = 1" + EDIT, "'unconfirmed' must be true or false"),
            (BUG + 'equivalent = "It has no effect."' + EDIT, "unknown key 'equivalent'"),
            (BUG + EDIT.replace("file", "fill"), "unknown key 'fill'"),
        ],
        ids=["edit", "twice", "id", "commit", "fixed", "needs", "config", "unconfirmed", "key", "key-of-edit"],
    )
    def test_an_error_names_its_line(self, folder: Path, text: str, message: str) -> None:
        (folder / HISTORY).write_text(text)
        with pytest.raises(UsageError, match=rf"history\.toml:\d+: .*{message}"):
            load_history("yama")

    @pytest.mark.parametrize(
        "text",
        [
            BUG.replace("0123456789ab", "") + "unconfirmed = true\n" + EDIT,
            BUG + 'needs = ["smp"]\n',
            BUG + 'unseen = "It has no effect."\n',
        ],
        ids=["no-commit", "not-here", "unseen"],
    )
    def test_what_may_be_left_out(self, folder: Path, text: str) -> None:
        (folder / HISTORY).write_text(text)
        assert [bug.id for bug in load_history("yama")] == ["an-id"]

    def test_no_table(self, folder: Path) -> None:
        """The error names the areas that have one."""
        (folder / HISTORY).write_text(BUG + EDIT)
        with pytest.raises(UsageError, match=r"loadpin has no history\.toml\n  hint: yama has one"):
            load_history("loadpin")


class TestMutants:
    """What a mutants.toml or a races.toml may say."""

    @pytest.mark.parametrize(
        ("text", "edits"),
        [
            (MUTANT + EDIT_OF_MUTANT.replace("[[mutant.edit]]\n", ""), 1),
            (MUTANT + EDIT_OF_MUTANT + EDIT_OF_MUTANT, 2),
        ],
        ids=["one", "several"],
    )
    def test_edits(self, folder: Path, text: str, edits: int) -> None:
        (folder / MUTANTS).write_text(text)
        assert load_mutants("yama") == [mutant(*[Edit("a.c", "scope = 1", "")] * edits, text="It is broken.")]

    def test_options(self, folder: Path) -> None:
        (folder / MUTANTS).write_text(MUTANT + 'config = ["NUMA=y"]\narch = "i386"\n' + EDIT_OF_MUTANT)
        assert [(each.config, each.arch) for each in load_mutants("yama")] == [(("NUMA=y",), "i386")]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (MUTANT, "'file' is missing"),
            (MUTANT + 'find = "scope = 1"' + EDIT_OF_MUTANT, "unknown key 'find'"),
            (MUTANT + EDIT_OF_MUTANT + 'since = "6.1"', "unknown key 'since'"),
            (MUTANT + 'config = ["NUMA"]' + EDIT_OF_MUTANT, "'config' has 'NUMA'"),
            (MUTANT + 'arch = "i387"' + EDIT_OF_MUTANT, "'arch': no architecture i387; did you mean 'i386'"),
        ],
        ids=["none", "both-forms", "versions", "config", "arch"],
    )
    def test_an_error_names_its_line(self, folder: Path, text: str, message: str) -> None:
        (folder / MUTANTS).write_text(text)
        with pytest.raises(UsageError, match=rf"mutants\.toml:\d+: .*{message}"):
            load_mutants("yama")


class TestEdits:
    def test_one_place(self, tree: Tree) -> None:
        changed = mutant(Edit("a.c", "scope = 1", "scope = 0")).edited(tree)
        assert changed == {"a.c": "int scope = 0;\nint other = 1;\n"}

    def test_several_files_and_several_edits_of_one(self, tree: Tree) -> None:
        """Each edit is for the file as it is: what another puts there does not count."""
        edits = [Edit("a.c", "int other", "int scope"), Edit("a.c", "int scope", "int x"), Edit("b.c", SOURCE, "")]
        changed = mutant(*edits).edited(tree)
        assert changed == {"a.c": "int x = 1;\nint scope = 1;\n", "b.c": ""}

    def test_edits_are_chosen_by_the_version(self, tree: Tree) -> None:
        old = Edit("a.c", "missing", "", VersionRange(until=(6, 11)))
        new = Edit("a.c", "scope = 1", "scope = 0", VersionRange(since=(6, 12)))
        assert list(mutant(old, new).edited(tree)) == ["a.c"]
        with pytest.raises(EditMismatchError, match=r"an-id: no edit is for Linux 6\.12\.7"):
            mutant(old).edited(tree)

    @pytest.mark.parametrize(
        ("edits", "message"),
        [
            ([Edit("a.c", "missing", "")], "a.c has 0 places that match 'missing', expected one"),
            ([Edit("a.c", "= 1", "")], "a.c has 2 places that match '= 1', expected one"),
            ([Edit("c.c", "= 1", "")], "this source has no c.c"),
            ([Edit("a.c", "int scope", ""), Edit("a.c", "scope = 1", "")], "two edits of a.c overlap"),
        ],
        ids=["no-place", "two-places", "no-file", "overlap"],
    )
    def test_a_mismatch_is_an_error(self, tree: Tree, edits: list[Edit], message: str) -> None:
        """It must not count as a surviving mutant."""
        assert list(mismatches(tree, [mutant(*edits), mutant(Edit("a.c", "scope", ""))])) == [f"an-id: {message}"]


class TestConfigs:
    def test_options_are_set_at_once_for_the_mutants_that_have_any(self) -> None:
        mutants = [
            mutant(),
            mutant(config=("B=y",)),
            mutant(config=("CONFIG_A=y", "B=y")),
            mutant(config=("AUDIT=y",)),
        ]
        assert plan_configs(mutants, {"AUDIT": "y"}, architecture("x86_64")) == [
            ([], mutants[:1]),
            (["A=y", "AUDIT=y", "B=y"], mutants[1:]),
        ]

    def test_contradictions_are_apart(self) -> None:
        """Of each other, and of what the flavor asks for, which all others count on."""
        plain, first, second = mutant(), mutant(config=("A=y",)), mutant(config=("A=m",))
        without = mutant(config=("AUDIT=n",), identifier="without-audit")
        assert plan_configs([first, second, without, plain], {"AUDIT": "y"}, architecture("x86_64")) == [
            ([], [plain]),
            (["A=y"], [first]),
            (["A=m"], [second]),
            (["AUDIT=n"], [without]),
        ]

    def test_mutants_that_are_not_built_ask_for_nothing(self) -> None:
        argued = replace(mutant(config=("A=y",)), argued="It has no effect.")
        elsewhere = replace(mutant(config=("B=y",)), needs=("smp",))
        foreign = mutant(config=("C=y",), arch="i386")
        assert plan_configs([argued, elsewhere, foreign], {}, architecture("x86_64")) == [
            ([], [argued, elsewhere, foreign])
        ]
