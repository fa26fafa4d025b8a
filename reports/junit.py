# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes pytest's JUnit file say `failure` for a broken promise and `error` for an error of ours.

pytest decides by the phase: it calls every exception of a test's own code a failure, and every one of a
fixture's an error.  A CI that reads the file shall see what results.json says, so the elements are renamed
by the `outcome` property that each test case carries.

It also writes a second case, of the same name, for a teardown that fails after its call did: names are unique here.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from reports.outcome import SEVERITY

ELEMENTS = {"fail": "failure", "error": "error"}


def correct(path: Path) -> None:
    """Rename the elements of the file at `path`, and count them again.  Raises OSError."""
    # pytest has just written the file: nobody else's XML is parsed here.
    tree = ElementTree.parse(path)  # noqa: S314
    for suite in tree.iter("testsuite"):
        _fold(suite)
        for case in suite.iter("testcase"):
            element = ELEMENTS.get(_property(case, "outcome") or "")
            for child in case:
                if element is not None and child.tag in ELEMENTS.values():
                    child.tag = element
        for tag, attribute in (("failure", "failures"), ("error", "errors")):
            suite.set(attribute, str(sum(case.find(tag) is not None for case in suite.iter("testcase"))))
        suite.set("tests", str(sum(1 for _ in suite.iter("testcase"))))
    _write(tree, path)


def _write(tree: ElementTree.ElementTree[Any], path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        tree.write(temporary, encoding="utf-8", xml_declaration=True)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _fold(suite: ElementTree.Element) -> None:
    """Make one case of those that are of one test, with the outcome of the worst and what all of them say."""
    first: dict[tuple[str | None, str | None], ElementTree.Element] = {}
    for case in suite.findall("testcase"):
        kept = first.setdefault((case.get("classname"), case.get("name")), case)
        if kept is case:
            continue
        outcomes = [_property(each, "outcome") or "" for each in (kept, case)]
        said = [child for child in case if child.tag in ELEMENTS.values()]
        known = next((child for child in kept if child.tag in ELEMENTS.values()), None)
        if known is None:
            kept.extend(said)
        else:
            known.text = "\n\n".join([known.text or "", *(child.text or "" for child in said)])
        for element in kept.iterfind("properties/property[@name='outcome']"):
            element.set("value", max(outcomes, key=lambda outcome: SEVERITY.get(outcome, -1)))
        suite.remove(case)


def _property(case: ElementTree.Element, name: str) -> str | None:
    for element in case.iterfind("properties/property"):
        if element.get("name") == name:
            return element.get("value")
    return None
