# SPDX-License-Identifier: GPL-2.0-or-later
"""The site: its sources, what it refuses, and what is added to its HTML.  `tox -e docs` builds it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from common.errors import KconformError
from kconform import main
from reports.model.requirements import load
from suites.harness.checkout import ROOT
from suites.website import __main__ as site
from suites.website import proving_tests
from suites.website.accessible_html import ADDED, amend, amended
from suites.website.promise_book import make_book
from suites.website.site_sources import NAVIGATION, ROOT_PAGE, documents, write_sources


def test_every_document_has_one_place_in_the_navigation() -> None:
    listed = [f"{page}.md" for pages in NAVIGATION.values() for page in pages if not page.startswith("promises/")]
    assert sorted(listed) == sorted(
        str(path.relative_to(ROOT)) for path in documents(ROOT) if path.stem != ROOT_PAGE or path.parent != ROOT
    )


def test_the_sources_have_all_that_documents_link_to(tmp_path: Path) -> None:
    write_sources(ROOT, tmp_path, {"promises/index.md": "# Promises\n"})
    assert (tmp_path / "docs" / "ci" / "gitlab-ci.yml").is_file()
    assert (tmp_path / "reports" / "results.schema.json").is_file()
    assert (tmp_path / "promises" / "index.md").read_text() == "# Promises\n"
    assert "\n:caption: Promises\n\npromises/index\n" in (tmp_path / "README.md").read_text()


def test_a_link_to_a_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        (tmp_path / name).write_text("[label]: docs/missing.md\n")
    with pytest.raises(KconformError, match=r"README\.md links to docs/missing\.md, which is no file of the project"):
        write_sources(tmp_path, tmp_path / "sources", {})


def test_the_tests_of_each_promise_are_found_without_a_kernel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither apt nor a kernel is there, and all promises have their tests."""
    monkeypatch.setenv("KCONFORM_CACHE", str(tmp_path))
    found = proving_tests.collect()
    assert set(found) == set(load(ROOT / "suites"))
    by_name = {test.name: test for test in found["yama.scope-1"]}
    assert by_name["suites/yama/test_scopes.py::test_relatives"].cases > 1
    assert "ancestry" in by_name["suites/yama/test_scopes.py::test_relatives"].docstring
    assert not [entry for entry in tmp_path.iterdir() if entry.name in ("kernels", "packages")]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Sphinx were installed; these tests end before it is used."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())


@pytest.mark.usefixtures("installed")
def test_a_folder_that_holds_something_else_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    assert main(["site", "--output", str(tmp_path)]) == 4
    assert f"{tmp_path} is not empty and is no site of ours" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").exists()


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(site, "MODULES", ("sys", "no_such_generator"))
    assert main(["site"]) == 4
    assert "not installed: no_such_generator\n  hint: tox -e docs has" in capsys.readouterr().err


def test_results_of_mutants_that_are_none_are_wrong_use(tmp_path: Path) -> None:
    path = tmp_path / "mutants.json"
    path.write_text('{"no": "list"}')
    with pytest.raises(KconformError) as caught:
        make_book(ROOT / "suites", {}, [], [path])
    assert (caught.value.exit_status, caught.value.hint) == (4, "name a file that `kconform mutants` wrote")


def test_the_html_is_amended(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("".join(ADDED))
    amend(tmp_path)
    assert (tmp_path / "page.html").read_text() == "".join(ADDED.values())
    assert amended('<th class="head"><p></p></th><th class="head"><p>a</p></th>').startswith("<td></td><th")


def test_html_that_is_written_differently_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html></html>")
    with pytest.raises(KconformError, match="no page of the site has"):
        amend(tmp_path)
