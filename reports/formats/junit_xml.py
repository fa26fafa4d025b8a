# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes pytest's JUnit file say `failure` for a broken promise and `error` for an error of ours.

pytest decides by the phase: it calls every exception of a test's own code a failure, and every one of a
fixture's an error.  A CI that reads the file shall see what results.json says, so the elements are renamed
by the `outcome` property that each test case carries.

pytest also writes a second case, of the same name, for a teardown that fails after its call did: here names are
unique.
"""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from reports.judgement.verdict import SEVERITY
from reports.model.document import Document
from reports.model.result import OUTCOMES, Result
from reports.model.test_names import junit_name

ELEMENTS = {"fail": "failure", "error": "error"}
SKIPPED = {"skip": "pytest.skip", "waived": "pytest.xfail"}
"""The outcomes that pytest's file calls skipped, and what it calls their kind."""

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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


def write(document: Document, path: Path) -> None:
    """Write a file of results that no pytest is there to write, in the same shape.  Raises OSError."""
    tests = document.tests()
    root = ElementTree.Element("testsuites", name="kconform")
    suite = ElementTree.SubElement(root, "testsuite", name="kconform")
    for result in tests:
        suite.append(_case(result))
    for attribute, outcomes in (
        ("tests", OUTCOMES),
        ("failures", ("fail",)),
        ("errors", ("error",)),
        ("skipped", ("skip", "waived")),
    ):
        suite.set(attribute, str(sum(result.outcome in outcomes for result in tests)))
    suite.set("time", f"{sum(result.duration_s for result in tests):.3f}")
    suite.set("timestamp", _xml(str(document.run["started"])))
    _write(ElementTree.ElementTree(root), path)


def _case(result: Result) -> ElementTree.Element:
    classname, name = junit_name(result.nodeid)
    case = ElementTree.Element(
        "testcase", classname=_xml(classname), name=_xml(name), time=f"{result.duration_s:.3f}"
    )
    properties = ElementTree.SubElement(case, "properties")
    told = [("test", result.nodeid), *(("requirement", identifier) for identifier in result.requirements)]
    told += [(key, value) for key, value in (("kernel", result.kernel), ("flavor", result.flavor)) if value]
    for key, value in (*told, ("outcome", result.outcome)):
        ElementTree.SubElement(properties, "property", name=key, value=_xml(value))
    if result.outcome in ELEMENTS:
        said = ElementTree.SubElement(case, ELEMENTS[result.outcome], message=_xml(result.reason))
        said.text = _xml(result.longrepr)
    elif result.outcome in SKIPPED:
        ElementTree.SubElement(case, "skipped", type=SKIPPED[result.outcome], message=_xml(result.reason))
    return case


def _xml(text: str) -> str:
    """Text without the characters that XML has no way to write."""
    return _NO_XML.sub(lambda found: repr(found[0])[1:-1], text)


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
