# SPDX-License-Identifier: GPL-2.0-or-later
"""Mechanical mutants: what is a place for a fault and what is none, and samples that can be had again."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.build.kernel_tree import open_tree
from kconfigs.fetch import source_tree
from kconfigs.resolve import packaged_source
from suites.harness.kconfigs import fake_kernels as fakes
from suites.mutation import mechanical_mutants
from suites.mutation.c_source import functions, live_lines
from suites.mutation.fault_places import places
from suites.mutation.mechanical_mutants import FILES, arguments, draw, stale_arguments
from suites.mutation.mutant import Mutant

pytest.importorskip("tree_sitter", reason="tree_sitter is not installed: pip install tree-sitter tree-sitter-c")

FILE = "security/yama/yama_lsm.c"

SOURCE = """\
static int small(int a)
{
	if (a == 1)
		return -EPERM;
	return 0;
}

static bool large(struct list *head, const char __user *from)
{
	struct item *one;

	/* a == b && c */
	list_for_each_entry(one, head, node) {
		if (one->a < 3 && from)
			break;
	}
	pr_info("a == b: %d\\n", 7 + 8);
	release(one);
	return true;
}

static int __init at_start(void)
{
	return 1 + 2;
}

SYSCALL_DEFINE2(secret, int, op, void __user *, arg)
{
	return small(op);
}

#ifdef CONFIG_OTHER
static void *other(void)
{
	return find(1);
}
#endif
"""


def faults(body: str, head: str = "static int f(int a)", live: set[int] | None = None) -> list[tuple[str, str]]:
    """The faults of a function: kind, and the body with the fault."""
    source = f"{head} {{ {body} }}".encode()
    (function,) = functions(source)
    return [
        (
            place.kind,
            source[len(head) + 3 : place.start].decode() + place.replacement + source[place.end : -2].decode(),
        )
        for place in places(function, live)
    ]


class TestPlaces:
    @pytest.mark.parametrize(
        ("body", "changed"),
        [
            ("x = a == b;", ["x = a != b;"]),
            ("x = a < b;", ["x = a <= b;", "x = a >= b;"]),
            ("x = a && b;", ["x = a || b;"]),
            ("x = a & b;", ["x = a | b;"]),
            ("x = a + b;", ["x = a - b;"]),
            ("x = a << b;", ["x = a >> b;"]),
            ("x = !a;", ["x = a;"]),
            ("x = -a;", ["x = a;"]),
            ("x |= a;", ["x &= a;"]),
            ("x++;", ["x--;"]),
        ],
        ids=["eq", "lt", "and", "bitand", "plus", "shift", "not", "minus", "assignment", "increment"],
    )
    def test_operators(self, body: str, changed: list[str]) -> None:
        assert [text for kind, text in faults(body) if kind == "operator"] == changed

    @pytest.mark.parametrize(
        ("body", "changed"),
        [
            ("if (a) ;", ["if (!(a)) ;", "if (1) ;", "if (0) ;"]),
            ("if (a == b) ;", ["if (1) ;", "if (0) ;"]),
            ("if (!a) ;", ["if (1) ;", "if (0) ;"]),
            ("while (a) ;", ["while (!(a)) ;", "while (0) ;"]),
            ("while (1) ;", []),
            ("do { } while (0);", []),
            ("for (;a;) ;", ["for (;!(a);) ;", "for (;0;) ;"]),
            ("x = a ? b : c;", ["x = !(a) ? b : c;", "x = 1 ? b : c;", "x = 0 ? b : c;"]),
        ],
        ids=["if", "comparison", "negation", "while", "forever", "once", "for", "conditional"],
    )
    def test_conditions(self, body: str, changed: list[str]) -> None:
        """A negation that is a fault of an operator is not listed twice, and no loop is made endless."""
        assert [text for kind, text in faults(body) if kind == "condition"] == changed

    @pytest.mark.parametrize(
        ("body", "changed"),
        [
            ("x = 0;", ["x = 1;"]),
            ("x = 1;", ["x = 0;", "x = 2;"]),
            ("x = 0x10UL;", ["x = 0;", "x = (0x10UL + 1);"]),
            ("x = true;", ["x = false;"]),
            ("x = -EACCES;", ["x = -EPERM;"]),
            ("x = -EPERM;", ["x = -EINVAL;"]),
            ("x = 'a';", []),
            ('x = "1";', []),
        ],
        ids=["zero", "one", "number", "bool", "error", "EPERM", "character", "string"],
    )
    def test_constants(self, body: str, changed: list[str]) -> None:
        assert [text for kind, text in faults(body) if kind == "constant"] == changed

    @pytest.mark.parametrize(
        ("head", "body", "changed"),
        [
            ("static int f(void)", "return a;", ["return 0;", "return -EPERM;"]),
            ("static int f(void)", "return 0;", ["return -EPERM;"]),
            ("static int f(void)", "return -EINVAL;", ["return 0;"]),
            ("static bool f(void)", "return a || b;", ["return !(a || b);"]),
            ("static bool f(void)", "return true;", []),
            ("struct item *f(void)", "return a;", ["return NULL;"]),
            ("struct item *f(void)", "return NULL;", []),
            ("unsigned long f(void)", "return a;", ["return 0;", "return 1;"]),
            ("void f(void)", "return;", []),
        ],
        ids=["int", "zero", "error", "bool", "true", "pointer", "null", "unsigned", "void"],
    )
    def test_returns(self, head: str, body: str, changed: list[str]) -> None:
        assert [text for kind, text in faults(body, head) if kind == "return"] == changed

    def test_statements(self) -> None:
        """The lines after a statement keep their numbers.  A declaration stays, and so does a macro with a block."""
        body = "int b = 1; f(a,\n b); goto out; each(a) { a = b; } return; ; out: continue;"
        changed = [text for kind, text in faults(body, "void f(void)") if kind == "statement"]
        assert [text.count("\n") for text in changed] == [1] * 5
        left_out = ["f(a,\n b);", "goto out;", "a = b;", "return;", "continue;"]
        assert changed == [body.replace(each, ";" + "\n" * each.count("\n")) for each in left_out]

    def test_what_is_printed_is_no_place(self) -> None:
        """The call itself can be left out."""
        assert faults('pr_info("%d", a + 1);', "void f(void)") == [("statement", ";")]
        assert faults("/* a == b */", "void f(void)") == []

    def test_a_statement_is_compiled_if_its_first_line_is(self) -> None:
        assert faults("a = b +\n 1;\n a = c +\n 1;", live={2, 3}) == faults("a = b +\n 1;\n a = c +\n 1;")[4:]


class TestSource:
    def test_functions(self) -> None:
        """Those that run only once, when the kernel starts, are left out."""
        assert [(each.name, each.returns) for each in functions(SOURCE.encode())] == [
            ("small", "static int"),
            ("large", "static bool"),
            ("sys_secret", "long"),
            ("other", "static void *"),
        ]

    def test_live_lines(self) -> None:
        """Lines of other files do not count, nor what is blank."""
        text = '# 1 "/linux/a.c"\n\nint a;\n# 1 "/linux/a.h" 1\nint b;\n# 7 "/linux/a.c" 2\nint c;\n \nint d;\n'
        assert live_lines(text, "a.c") == {2, 7, 9}

    def test_a_missing_parser_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "tree_sitter_c", None)
        with pytest.raises(UsageError, match=r"tree_sitter_c is not installed\n  hint: pip install tree-sitter"):
            functions(b"")


class TestSample:
    @pytest.fixture
    def tree(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(mechanical_mutants, "SUITES", tmp_path)
        (tmp_path / "yama").mkdir()
        path = fakes.tree(tmp_path / "linux")
        (path / FILE).parent.mkdir(parents=True)
        (path / FILE).write_text(SOURCE)
        return path

    @staticmethod
    def drawn(tree: Path, seed: int = 1, without: str = "CONFIG_OTHER") -> list[Mutant]:
        """All mutants, of a kernel in which the lines from the one with a word on are not compiled."""
        lines = (tree / FILE).read_text().partition(without)[0].count("\n") + 1
        return list(draw("yama", tree, seed, lambda _: set(range(1, lines))))

    def test_each_mutant_is_an_edit_with_one_place(self, tree: Path) -> None:
        mutants = self.drawn(tree)
        for each in mutants:
            (content,) = each.edited(open_tree(tree)).values()
            assert content != SOURCE
            assert content.count("\n") == SOURCE.count("\n")
            assert re.fullmatch(r"[\w-]+", each.id)
        assert len({each.edits for each in mutants}) == len({each.id for each in mutants}) == len(mutants) > 20

    def test_what_is_not_compiled_is_not_drawn(self, tree: Path) -> None:
        in_function = [each.id.partition("-")[0] for each in self.drawn(tree)]
        assert set(in_function) == {"small", "large", "sys_secret"}
        assert "other" in [each.id.partition("-")[0] for each in self.drawn(tree, without="#endif")]

    def test_functions_take_turns(self, tree: Path) -> None:
        """In each function, the kinds do: neither a long function nor many operators have more than their share."""
        in_function = [each.id.partition("-")[0] for each in self.drawn(tree)]
        assert all(len(set(in_function[start : start + 3])) == 3 for start in (0, 3))
        small = [each for each in self.drawn(tree) if each.id.startswith("small")][:5]
        kinds = Counter(
            re.findall(r"condition|returned|left out of|left out|becomes", each.text)[0] for each in small
        )
        assert set(kinds) >= {"condition", "returned", "becomes"}

    def test_a_sample_is_that_of_its_seed(self, tree: Path) -> None:
        first, again, other = self.drawn(tree), self.drawn(tree), self.drawn(tree, seed=2)
        assert first == again
        assert [each.id for each in other] != [each.id for each in first]
        assert {each.id for each in other} == {each.id for each in first}

    def test_ids_and_order_outlast_changes_elsewhere(self, tree: Path) -> None:
        before = [each.id for each in self.drawn(tree)]
        (tree / FILE).write_text("\n\n" + SOURCE.replace("release(one);", "release(one->a);"))
        after = [each.id for each in self.drawn(tree)]
        changed = {each for each in before if each not in after}
        assert {each.partition("-")[0] for each in changed} == {"large"}
        assert len(changed) == 1
        assert [each for each in after if each in before] == [each for each in before if each not in changed]

    def test_the_sentence_says_where_and_what(self, tree: Path) -> None:
        (text,) = [each.text for each in self.drawn(tree) if each.id.startswith("small-eq-to-ne-")]
        assert text == f"{FILE}:3, small(): `==` becomes `!=` in `a == 1`."

    def test_arguments(self, tree: Path, tmp_path: Path) -> None:
        """They are taken from the area's table, which may not name what is gone."""
        name = self.drawn(tree)[3].id
        table = tmp_path / "yama" / "argued.toml"
        table.write_text(f'[[argued]]\nid = "{name}"\nwhy = "No effect."\n[[argued]]\nid = "gone"\nwhy = "Was."\n')
        assert [each.argued for each in self.drawn(tree)][2:5] == ["", "No effect.", ""]
        assert stale_arguments("yama", tree) == ["gone"]
        table.write_text(table.read_text().replace("gone", name))
        with pytest.raises(UsageError, match=r"argued\.toml:5: .* is argued twice"):
            arguments("yama")

    def test_no_arguments(self, tree: Path) -> None:
        assert tree.is_dir()
        assert arguments("yama") == {}


@pytest.mark.parametrize("area", FILES)
def test_arguments_of_an_area(area: str) -> None:
    """Each is a sentence about a place in the distribution's source, if the tables are for that version."""
    assert all(why.endswith(".") for why in arguments(area).values())
    tree = open_tree(source_tree(packaged_source()))
    if tree.version[:2] != (6, 12):
        pytest.skip(f"the source of this distribution is {tree.text_version}, and the tables are for 6.12")
    assert stale_arguments(area, tree.path) == []
