# SPDX-License-Identifier: GPL-2.0-or-later
"""Results as KCIDB takes them (I/O schema 5.3): a checkout, a build, and the tests of each kernel.  Pure.

All ids begin with the name of the CI system, its origin, and are the same whenever the same results are written
again: a kernel is known by what it was made of, a test run by its name, its kernel, and the moment at which it began.

Tests without a kernel are left out: KCIDB is about kernels, and these say nothing of one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from reports.formats.markdown import line
from reports.model.document import Document
from reports.model.result import JSON, Result
from reports.model.test_names import kcidb_path

FILE_NAME = "kcidb.json"
VERSION = {"major": 5, "minor": 3}
ORIGIN = "kconform"
"""Who submits, unless the user says another name; KCIDB takes results only from names that it has given out."""
ORIGIN_PATTERN = re.compile(r"[a-z0-9_]+")

EXCERPT_LIMIT = 16384
"""Characters of a log excerpt, by the schema."""

STATUSES = {
    "pass": "PASS",
    "fail": "FAIL",
    "error": "ERROR",
    "skip": "SKIP",
    # The schema's FAIL is `the test completed and reported the tested code as faulty`, which it did.  Whether that is
    # known is told elsewhere in KCIDB, by its issues; our reason is in the comment, our word in `misc`.
    "waived": "FAIL",
    "unexpected-pass": "PASS",
}
"""KCIDB's word for each outcome."""


def render(document: Document, origin: str = ORIGIN) -> str:
    """The document as a file: JSON that ends with a newline."""
    return json.dumps(convert(document, origin), indent=1, ensure_ascii=True) + "\n"


def convert(document: Document, origin: str = ORIGIN) -> dict[str, Any]:
    """KCIDB's object; `origin` must match ORIGIN_PATTERN."""
    tests = [result for result in document.tests() if result.kernel is not None]
    builds, checkouts = [], {}
    for kernel in document.kernels.values():
        checkout = _checkout(kernel, origin)
        checkouts[checkout["id"]] = checkout
        builds.append(_build(kernel, checkout["id"], origin))
    return {
        "version": VERSION,
        "checkouts": list(checkouts.values()),
        "builds": builds,
        "tests": [_test(result, document, origin) for result in tests],
    }


def _checkout(kernel: Mapping[str, JSON], origin: str) -> dict[str, Any]:
    """What the kernel was made of.  Flavors of one source share it."""
    source = str(kernel.get("identity") or kernel["name"] or kernel["id"])
    return {
        "id": f"{origin}:{_digest('checkout', source, str(kernel.get('name')))}",
        "origin": origin,
        "comment": line(f"{kernel.get('name') or kernel['id']}: {source}"),
        "valid": True,
        "misc": {"kconform": {"identity": kernel.get("identity"), "spec": kernel.get("spec")}},
    }


def _build_id(kernel: Mapping[str, JSON], origin: str) -> str:
    return f"{origin}:{_digest('build', str(kernel['id']), str(kernel.get('digest')))}"


def _build(kernel: Mapping[str, JSON], checkout: str, origin: str) -> dict[str, Any]:
    build = {
        "id": _build_id(kernel, origin),
        "checkout_id": checkout,
        "origin": origin,
        "comment": line(str(kernel["id"])),
        # A kernel that could not be built has no record: its tests are errors without a kernel.
        "status": "PASS",
        "misc": {"kconform": dict(kernel)},
    }
    architecture = str(kernel.get("arch") or "").lower()
    if re.fullmatch(r"[a-z0-9_]+", architecture):
        build["architecture"] = architecture
    if kernel.get("flavor"):
        build["config_name"] = line(str(kernel["flavor"]))
    return build


def _test(result: Result, document: Document, origin: str) -> dict[str, Any]:
    kernel = document.kernels[str(result.kernel)]
    build = _build_id(kernel, origin)
    test: dict[str, Any] = {
        "id": f"{origin}:{_digest('test', build, result.nodeid, result.started, str(result.duration_s))}",
        "build_id": build,
        "origin": origin,
        "path": kcidb_path(result),
        "status": STATUSES[result.outcome],
        "comment": line(f"{result.nodeid}: {result.reason}" if result.reason else result.nodeid),
        "start_time": result.started,
        "duration": result.duration_s,
        "environment": {
            "comment": line(f"QEMU, {result.accel or 'acceleration unknown'}"),
            "misc": {"kconform": {"host": document.run["host"], "versions": document.run["versions"]}},
        },
        "misc": {
            "kconform": {
                "nodeid": result.nodeid,
                "outcome": result.outcome,
                "reason": result.reason,
                "requirements": list(result.requirements),
                "flavor": result.flavor,
                "run": document.run["id"],
            }
        },
    }
    if result.longrepr:
        # The end is kept: that is where it says what happened.
        test["log_excerpt"] = result.longrepr.replace("\0", "\\x00")[-EXCERPT_LIMIT:]
    return test


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
