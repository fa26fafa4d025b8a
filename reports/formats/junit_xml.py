# SPDX-License-Identifier: GPL-2.0-or-later
"""junit.xml: a `failure` for a promise that was seen broken, an `error` for what could not be determined.

pytest's own file would not do: it decides by the phase of a test what is a failure, and has a second case of the same
name for a teardown that fails after its call did.  Here each test is one case, and it says what results.json says.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

from common import atomic
from reports.model.document import Document
from reports.model.names_of_tests import junit_name
from reports.model.result import BROKE, VERDICTS, Result, Verdict

ELEMENTS: Mapping[Verdict, str] = {
    "fail": "failure",
    "flaky": "failure",
    "error": "error",
    "skip": "skipped",
    "waived": "skipped",
}
FLAKY = "flaky"
"""The type of the failure of a flaky test.  Surefire's `flakyFailure` would not do: it is for a test that passes."""
SKIPPED: Mapping[Verdict, str] = {"skip": "pytest.skip", "waived": "pytest.xfail"}
"""The type of a skipped case, by the names that pytest gives them."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(document: Document, path: Path) -> None:
    """Write the file, and the directory that --junitxml names, as pytest would.  OSError if that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, render(document))


def render(document: Document) -> bytes:
    """The file."""
    tests = document.tests()
    root = ElementTree.Element("testsuites", name="kconform")
    suite = ElementTree.SubElement(root, "testsuite", name="kconform")
    suite.extend(map(_case, tests))
    for attribute, verdicts in (
        ("tests", VERDICTS),
        ("failures", BROKE),
        ("errors", ("error",)),
        ("skipped", tuple(SKIPPED)),
    ):
        suite.set(attribute, str(sum(result.verdict in verdicts for result in tests)))
    suite.set("time", f"{sum(result.duration_s for result in tests):.3f}")
    suite.set("timestamp", document.run.started)
    suite.set("hostname", _xml(document.run.host.get("node", "")))
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _case(result: Result) -> ElementTree.Element:
    classname, name = map(_xml, junit_name(result.nodeid))
    case = ElementTree.Element("testcase", classname=classname, name=name, time=f"{result.duration_s:.3f}")
    properties = ElementTree.SubElement(case, "properties")
    known = [("test", result.nodeid), *(("requirement", identifier) for identifier in result.requirements)]
    if result.verdict in BROKE:
        known += [("breaks", identifier) for identifier in result.subjects]
    known += [(key, value) for key, value in (("kernel", result.kernel), ("flavor", result.flavor)) if value]
    if result.repetition:
        known.append(("broken-in", f"{result.repetition.broken} of {result.repetition.of}"))
    for key, value in (*known, ("outcome", result.verdict)):
        ElementTree.SubElement(properties, "property", name=key, value=_xml(value))
    if result.verdict in ELEMENTS:
        element = ElementTree.SubElement(case, ELEMENTS[result.verdict], message=_xml(result.reason))
        if result.verdict in SKIPPED:
            element.set("type", SKIPPED[result.verdict])
        else:
            element.text = _xml(result.longrepr)
        if result.verdict == "flaky":
            element.set("type", FLAKY)
    return case


def _xml(text: str) -> str:
    """The text without the characters that XML cannot express: they are spelled out."""
    return _NOT_XML.sub(lambda found: repr(found[0])[1:-1], text)
