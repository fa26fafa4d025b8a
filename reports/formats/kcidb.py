# SPDX-License-Identifier: GPL-2.0-or-later
"""Results as KCIDB takes them (I/O schema 5.3): a checkout, a build, and the tests of each kernel.

All ids begin with the name of the CI system, its origin, and are the same whenever the same results are written
again: a kernel is identified by what it was made from, the run of a test by its name, its kernel, and the time at
which it began.

Tests without a kernel are left out, because KCIDB is about kernels.  So are kernels that could not be fetched or
built, which have no digest, with their tests: results.json does not say whether the source is to blame for that.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from common.errors import UsageError
from common.text import printable
from reports.model.display import one_line
from reports.model.document import Document
from reports.model.names_of_tests import kcidb_path
from reports.model.result import BROKE, KernelRecord, Result, Verdict

VERSION = {"major": 5, "minor": 3}
ORIGIN = "kconform"
"""The name of the CI system, unless the user gives one; KCIDB takes results only from names that it has given out."""
ORIGIN_PATTERN = re.compile(r"[a-z0-9_]+")

EXCERPT_LIMIT = 16384
"""Characters of a log excerpt, by the schema."""

STATUSES: Mapping[Verdict, str] = {
    "pass": "PASS",
    "fail": "FAIL",
    "error": "ERROR",
    "skip": "SKIP",
    # The schema's FAIL is `the test completed and reported the tested code as faulty`, which it did.  KCIDB records
    # in its issues what is known; our reason is in the comment, our word in `misc`.
    "waived": "FAIL",
    "unexpected-pass": "PASS",
    # Never PASS: the tested code was seen to be faulty.  Our word and the numbers are in `misc`.
    "flaky": "FAIL",
}
"""KCIDB's word for each verdict."""


def check_origin(text: str) -> str:
    """The origin, or UsageError if KCIDB does not allow it."""
    if not ORIGIN_PATTERN.fullmatch(text):
        raise UsageError(f"{printable(text)!r} cannot be an origin: use lower-case letters, digits and underscores")
    return text


def render(document: Document, origin: str = ORIGIN) -> str:
    """The document as a file: JSON that ends with a newline."""
    return json.dumps(convert(document, origin), indent=1, ensure_ascii=True) + "\n"


def convert(document: Document, origin: str = ORIGIN) -> dict[str, Any]:
    """KCIDB's object; `origin` must match ORIGIN_PATTERN."""
    kernels = {identifier: kernel for identifier, kernel in document.kernels.items() if kernel.digest}
    tests = [result for result in document.tests() if result.kernel in kernels]
    builds, checkouts = [], {}
    for kernel in kernels.values():
        checkout = _checkout(kernel, origin)
        checkouts[checkout["id"]] = checkout
        builds.append(_build(kernel, checkout["id"], origin))
    return {
        "version": VERSION,
        "checkouts": list(checkouts.values()),
        "builds": builds,
        "tests": [_test(result, document, origin) for result in tests],
    }


def _checkout(kernel: KernelRecord, origin: str) -> dict[str, Any]:
    """What the kernel was made from.  Flavors of one source share it."""
    source = kernel.identity or kernel.name or kernel.id
    return {
        "id": f"{origin}:{_digest('checkout', source, str(kernel.name))}",
        "origin": origin,
        "comment": one_line(f"{kernel.name or kernel.id}: {source}"),
        "valid": True,
        "misc": {"kconform": {"identity": kernel.identity, "spec": kernel.spec}},
    }


def _build_id(kernel: KernelRecord, origin: str) -> str:
    return f"{origin}:{_digest('build', str(kernel.id), str(kernel.digest))}"


def _build(kernel: KernelRecord, checkout: str, origin: str) -> dict[str, Any]:
    build: dict[str, Any] = {
        "id": _build_id(kernel, origin),
        "checkout_id": checkout,
        "origin": origin,
        "comment": one_line(kernel.id),
        "status": "PASS",
        "misc": {"kconform": msgspec.to_builtins(kernel)},
    }
    architecture = (kernel.arch or "").lower()
    if re.fullmatch(r"[a-z0-9_]+", architecture):
        build["architecture"] = architecture
    if kernel.preparation is not None and kernel.preparation.build_s:
        build["duration"] = kernel.preparation.build_s
    if kernel.flavor:
        build["config_name"] = one_line(kernel.flavor)
    return build


def _test(result: Result, document: Document, origin: str) -> dict[str, Any]:
    kernel = document.kernels[str(result.kernel)]
    build = _build_id(kernel, origin)
    test: dict[str, Any] = {
        "id": f"{origin}:{_digest('test', build, result.nodeid, result.started, str(result.duration_s))}",
        "build_id": build,
        "origin": origin,
        "path": kcidb_path(result),
        "status": STATUSES[result.verdict],
        "comment": one_line(f"{result.nodeid}: {result.reason}" if result.reason else result.nodeid),
        "start_time": result.started,
        "duration": result.duration_s,
        "environment": {
            "comment": one_line(kernel.target or f"QEMU, {result.accel or 'acceleration unknown'}"),
            "misc": {"kconform": {"host": document.run.host, "versions": document.run.versions}},
        },
        "misc": {
            "kconform": {
                "nodeid": result.nodeid,
                "outcome": result.verdict,
                "reason": result.reason,
                "requirements": list(result.requirements),
                "breaks": list(result.subjects) if result.verdict in (*BROKE, "waived") else [],
                "flavor": result.flavor,
                "run": document.run.id,
            }
        },
    }
    if result.repetition:
        test["misc"]["kconform"]["repetition"] = msgspec.to_builtins(result.repetition)
    if result.longrepr:
        # The end is kept, because it says what happened.
        test["log_excerpt"] = result.longrepr.replace("\0", "\\x00")[-EXCERPT_LIMIT:]
    return test


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
