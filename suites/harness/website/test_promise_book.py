# SPDX-License-Identifier: GPL-2.0-or-later
"""What the site knows of a promise: which tests, faults, waivers and kernels it lists with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.model.document import Document, parse
from suites.harness.reports import documents
from suites.mutation import mutant_table
from suites.mutation.mutant_report import write_json
from suites.mutation.mutant_table import load_mutants
from suites.mutation.mutant_tester import DETECTED, SURVIVED, MutantResult
from suites.website.promise_book import PromiseBook, make_book
from suites.website.promise_pages import generated
from suites.website.proving_tests import ProvingTest

SPECIFICATION = """
[[requirement]]
id = "yama.scope"
text = "At scope 1, `ptrace` has <b>rules</b>."
source = "security/yama/yama_lsm.c: yama_ptrace_access_check(); commit a5a858f622a0"
since = "3.4"
until = "6.5"
successor = "yama.log"

[[requirement]]
id = "yama.log"
text = "What | is refused is logged."
source = "Documentation/admin-guide/LSM/Yama.rst"
since = "6.6"
"""
MUTANTS = """
[[mutant]]
id = "no-scope"
text = "Scope 1 restricts nothing."
file = "security/yama/yama_lsm.c"
find = "a"
replace = "b"
first = "test_scope.py::test_scope"

[[mutant]]
id = "no-log"
text = "Nothing is logged."
file = "security/yama/yama_lsm.c"
find = '''
	one(a);
	two(a);
'''
replace = '''
	one(a);
'''
first = "test_scope.py"

[[mutant]]
id = "same"
text = "Nothing changes."
file = "security/yama/yama_lsm.c"
find = "a"
replace = "b"
first = "test_scope.py"
equivalent = "The compiler makes the same of it."
"""
HISTORY = """
[[bug]]
id = "old"
title = "Yama: fix it"
commit = "6994eefb0053"
fixed = "5.2"
seen = "Users saw nothing."
first = "test_log.py"
[[bug.edit]]
file = "security/yama/yama_lsm.c"
find = "a"
replace = "b"
"""
WAIVERS = """
[[waiver]]
test = "suites/yama/test_log.py::test_log[many]"
since = "6.8"
reason = "comes late"
expires = 2027-12-31
"""
SCOPE = ProvingTest("suites/yama/test_scope.py::test_scope", "Strangers are refused by `ptrace`.", 3)
BOTH = ProvingTest("suites/yama/test_scope.py::test_both", "", 1)
LOG = ProvingTest("suites/yama/test_log.py::test_log", "Each refusal is logged.", 1)
TESTS = {"yama.scope": [SCOPE, BOTH], "yama.log": [BOTH, LOG]}


@pytest.fixture
def suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    area = tmp_path / "suites" / "yama"
    area.mkdir(parents=True)
    for name, content in (
        ("requirements.toml", SPECIFICATION),
        ("mutants.toml", MUTANTS),
        ("history.toml", HISTORY),
        ("waivers.toml", WAIVERS),
    ):
        (area / name).write_text(content)
    monkeypatch.setattr(mutant_table, "SUITES", area.parent)
    return area.parent


def run_of(tmp_path: Path) -> Document:
    results = [documents.result("yama/scope", "fail"), documents.result("yama/log", on=documents.NEXT)]
    return parse(documents.document(results), tmp_path / "results.json")


def measured(tmp_path: Path, **by: str) -> Path:
    """Results of mutants: what detected each, by its id with underscores; nothing for a survivor."""
    path = tmp_path / "mutants.json"
    found = {mutant.id.replace("-", "_"): mutant for mutant in load_mutants("yama")}
    write_json(path, [MutantResult(found[name], DETECTED if test else SURVIVED, test) for name, test in by.items()])
    return path


def faults(book: PromiseBook, promise: str) -> dict[str, bool]:
    """The faults that are listed with a promise, and whether a test has detected them."""
    return {fault.mutant.id: fault.detected for fault in book.promises[promise].faults}


def test_a_fault_that_was_not_measured_is_listed_with_the_promises_of_its_first_tests(suites: Path) -> None:
    book = make_book(suites, TESTS, [])
    assert faults(book, "yama.scope") == {"no-scope": False, "no-log": False}
    assert faults(book, "yama.log") == {"no-log": False, "old": False}


def test_a_detected_fault_is_listed_with_the_promise_that_was_seen_broken(suites: Path, tmp_path: Path) -> None:
    path = measured(tmp_path, no_scope="test_scope[stranger]", no_log="test_both (yama.log)")
    book = make_book(suites, TESTS, [], [path])
    assert faults(book, "yama.scope") == {"no-scope": True}
    assert faults(book, "yama.log") == {"no-log": True, "old": False}


def test_a_test_of_several_promises_that_names_none_breaks_them_all(suites: Path, tmp_path: Path) -> None:
    book = make_book(suites, TESTS, [], [measured(tmp_path, no_log="test_both")])
    assert faults(book, "yama.scope")["no-log"]
    assert faults(book, "yama.log")["no-log"]


def test_a_survivor_breaks_no_promise(suites: Path, tmp_path: Path) -> None:
    book = make_book(suites, TESTS, [], [measured(tmp_path, no_scope="")])
    assert "no-scope" not in faults(book, "yama.scope")
    assert "SURVIVED" in generated(book)["faults/yama.md"]


def test_a_result_of_a_mutant_that_has_changed_since_does_not_count(suites: Path, tmp_path: Path) -> None:
    path = measured(tmp_path, no_scope="test_scope")
    table = suites / "yama" / "mutants.toml"
    table.write_text(table.read_text().replace("Scope 1 restricts nothing.", "Scope 1 restricts less."))
    assert faults(make_book(suites, TESTS, [], [path]), "yama.scope")["no-scope"] is False


def test_kernels_and_waivers_are_those_of_the_promise(suites: Path, tmp_path: Path) -> None:
    book = make_book(suites, TESTS, [run_of(tmp_path)])
    found = {name: [(each.kernel.id, each.status) for each in one.findings] for name, one in book.promises.items()}
    assert found == {"yama.scope": [(documents.FULL, "broken")], "yama.log": [(documents.NEXT, "held")]}
    assert [len(book.promises[name].waivers) for name in ("yama.scope", "yama.log")] == [0, 1]


class TestPages:
    def test_a_promise_has_what_is_known_of_it(self, suites: Path, tmp_path: Path) -> None:
        book = make_book(suites, TESTS, [run_of(tmp_path)], [measured(tmp_path, no_scope="test_scope[a|b]")])
        page = generated(book)["promises/yama/scope.md"]
        assert page.startswith("---\norphan: true\n---\n\n# yama.scope\n")
        for part in (
            r"At scope 1, \`ptrace\` has \<b\>rules\</b\>.",
            "/tree/security/yama/yama_lsm.c)",
            "/commit/?id=a5a858f622a0)",
            "**Kernels:** since Linux 3.4, until Linux 6.5",
            "**Then:** [`yama.log`](../../promises/yama/log.md)",
            f"| `{documents.FULL}` | unknown | unknown | **broken** | 2026-11-22 |",
            "| Strangers are refused by `ptrace`. | `yama/test_scope.py::test_scope` | 3 |",
            "| [`no-scope`](#yama-mutant-no-scope) | Scope 1 restricts nothing. | `test_scope[a\\|b]` |",
            "- `test_scope.py`: [`no-log`](#yama-mutant-no-log)",
        ):
            assert part in page, page

    def test_what_is_not_known_is_said(self, suites: Path) -> None:
        page = generated(make_book(suites, {}, []))["promises/yama/log.md"]
        assert "No results of a run were given to the build of this site." in page
        assert "## Tests that prove it\n\nNone." in page

    def test_a_known_failure_is_named_with_its_versions(self, suites: Path) -> None:
        page = generated(make_book(suites, TESTS, []))["promises/yama/log.md"]
        assert "- comes late (Linux since 6.8; excused until 2027-12-31)" in page

    def test_a_fault_has_its_edit_and_its_fix(self, suites: Path) -> None:
        page = generated(make_book(suites, TESTS, []))["faults/yama.md"]
        assert "(yama-mutant-no-log)=\n\n### `no-log`" in page
        assert "```diff\n \tone(a);\n-\ttwo(a);\n```" in page
        assert "Yama: fix it ([`6994eefb0053`]" in page
        assert "cannot be detected: The compiler makes the same of it." in page

    def test_the_areas_list_their_promises(self, suites: Path, tmp_path: Path) -> None:
        pages = generated(make_book(suites, TESTS, [run_of(tmp_path)]))
        assert "| [yama](yama/index.md) | 2 | 3 | 3 | 0 | 1 | 1 held, 1 broken |" in pages["promises/index.md"]
        assert (
            "| [`yama.log`](log.md) | What \\| is refused is logged. | 6.6 | 2 |" in pages["promises/yama/index.md"]
        )
