# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes pytest's JUnit file say `failure` for a broken promise and `error` for an error of ours.

pytest decides by the phase: it calls every exception of a test's own code a failure, and every one of a
fixture's an error.  A CI that reads the file shall see what results.json says, so the elements are renamed
by the `outcome` property that each test case carries.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ELEMENTS = {"fail": "failure", "error": "error"}


def correct(path: Path) -> None:
    """Rename the elements of the file at `path`, and count them again.  Raises OSError."""
    # pytest has just written the file: nobody else's XML is parsed here.
    tree = ElementTree.parse(path)  # noqa: S314
    for suite in tree.iter("testsuite"):
        for case in suite.iter("testcase"):
            element = ELEMENTS.get(_property(case, "outcome") or "")
            for child in case:
                if element is not None and child.tag in ELEMENTS.values():
                    child.tag = element
        for tag, attribute in (("failure", "failures"), ("error", "errors")):
            suite.set(attribute, str(sum(case.find(tag) is not None for case in suite.iter("testcase"))))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        tree.write(temporary, encoding="utf-8", xml_declaration=True)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _property(case: ElementTree.Element, name: str) -> str | None:
    for element in case.iterfind("properties/property"):
        if element.get("name") == name:
            return element.get("value")
    return None
