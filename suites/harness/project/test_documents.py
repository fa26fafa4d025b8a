# SPDX-License-Identifier: GPL-2.0-or-later
"""Documents: links lead to headings that exist, code can be parsed, and promises can be read by themselves."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from suites.harness.checkout import ROOT
from suites.harness.project.test_setup_files import code_of, documents, fences
from suites.harness.project.test_structure import SCENARIOS
from suites.mutation.mutant_table import HISTORY, LOADERS, MUTANTS, RACES

_LINK = re.compile(r"\]\(([^)#\s]*)#([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_REFERS_BACK = re.compile(r"(The same|So|That of|It|They|Those)\b")
"""The beginning of a sentence that means nothing without the one before."""


def anchors(text: str) -> Iterator[str]:
    """The anchors that GitHub makes of a document's headings."""
    seen: Counter[str] = Counter()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\s-]", "", words.lower()).strip().replace(" ", "-")
        yield slug + (f"-{seen[slug]}" if seen[slug] else "")
        seen[slug] += 1


def dead_links(document: Path) -> list[str]:
    """Links to sections that do not exist."""
    found = []
    for target, anchor in _LINK.findall(_FENCE.sub("", document.read_text(encoding="utf-8"))):
        path = document.parent / target if target else document
        if "://" not in target and anchor not in anchors(path.read_text(encoding="utf-8")):
            found.append(f"{target}#{anchor}")
    return found


def parse_shell(text: str) -> None:
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr)


def parse_python(text: str) -> None:
    """A decorator may stand alone."""
    alone = text.rstrip().splitlines()[-1].startswith("@")
    ast.parse(f"{text}def decorated(): ..." if alone else text)


PARSERS: Mapping[str, Callable[[str], object]] = {
    "sh": parse_shell,
    "toml": tomllib.loads,
    "python": parse_python,
    "json": json.loads,
    "yaml": yaml.safe_load,
}


@documents
def test_links_to_sections_lead_somewhere(document: Path) -> None:
    assert dead_links(document) == []


def test_a_link_to_a_section_that_does_not_exist_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Of `a`: it\n\n## Again\n\n## Again\n\n```sh\n# no\n```\n")
    (tmp_path / "b.md").write_text("[](a.md#of-a-it) [](a.md#again-1) [](a.md#no) [](#mine)\n")
    assert dead_links(tmp_path / "b.md") == ["a.md#no", "#mine"]


@documents
def test_blocks_of_code_can_be_parsed(document: Path) -> None:
    wrong = []
    for language, text in fences(document):
        try:
            PARSERS.get(language, str)(text)
        except (ValueError, SyntaxError, yaml.YAMLError) as error:
            wrong.append(f"{language}: {error}")
    assert wrong == []


@documents
def test_mutants_that_are_named_exist(document: Path) -> None:
    for area, words, name in re.findall(r"mutants (?:-- )?([a-z]+)(.*) --only ([a-z][\w-]+)", code_of(document)):
        table = HISTORY if "--history" in words else RACES if "--races" in words else MUTANTS
        assert name in {mutant.id for mutant in LOADERS[table](area)}


@pytest.mark.parametrize(("language", "text"), [("sh", "if"), ("toml", "a ="), ("python", "a ="), ("json", "{")])
def test_code_that_is_wrong_is_found(language: str, text: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        PARSERS[language](text)


def sentences(area: Path) -> Iterator[tuple[str, str]]:
    """What reports and reproducers print by itself, after its place: promises, and docstrings of tests."""
    promises = tomllib.loads((area / "requirements.toml").read_text(encoding="utf-8"))["requirement"]
    yield from ((promise["id"], promise["text"]) for promise in promises)
    for path in sorted(area.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{path.name}::{node.name}", ast.get_docstring(node) or ""


def dangling(area: Path) -> list[str]:
    """Places of sentences that refer back to another one."""
    return [place for place, sentence in sentences(area) if _REFERS_BACK.match(sentence)]


@pytest.mark.parametrize("area", SCENARIOS)
def test_promises_and_docstrings_stand_alone(area: str) -> None:
    assert list(sentences(ROOT / "suites" / area))
    assert dangling(ROOT / "suites" / area) == []


def test_a_sentence_that_refers_back_is_found(tmp_path: Path) -> None:
    promise = '[[requirement]]\nid = "a.{}"\ntext = "{}"\n'
    texts = {"old": "So it can the files in /proc.", "new": "Someone can open the files in /proc."}
    (tmp_path / "requirements.toml").write_text("".join(promise.format(*item) for item in texts.items()))
    (tmp_path / "test_a.py").write_text('def test_b() -> None:\n    """The same of one that reads memory."""\n')
    assert dangling(tmp_path) == ["a.old", "test_a.py::test_b"]


@pytest.mark.parametrize("package", ["guests", "suites"])
def test_the_architecture_names_each_module_on_top_of_a_package(package: str) -> None:
    names = {path.name for path in (ROOT / package).glob("*.py")} - {"__init__.py"}
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert names - set(re.findall(r"\w+\.py", text)) == set()
