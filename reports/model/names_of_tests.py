# SPDX-License-Identifier: GPL-2.0-or-later
"""The name of a test in each format.

A test's name is pytest's node id, `suites/yama/test_log.py::test_rate[debian-6.12.117/full-many]`, everywhere:

    results.json    as it is
    JUnit           as it is, in the property `test`; classname and name are its parts, as in pytest's own file
    KTAP            with `%`, `#` and whatever is not printable written as %XX
    KCIDB           without the kernel, as a path in KCIDB's alphabet: kconform.yama.test_log.test_rate.many

No name depends on the order of tests, on the run, or on the machine.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from reports.model.result import Result

_NO_PATH = re.compile(r"[^A-Za-z0-9_-]")
_HASH_LENGTH = 8
UNNAMED = "(unnamed)"


def without_kernel(nodeid: str, kernel: str | None) -> str:
    """The node id without the kernel's id among its parameters, and without brackets if none is left."""
    name, bracket, parameters = nodeid.partition("[")
    parameters = parameters.removesuffix("]")
    if not bracket or not kernel:
        return nodeid
    if parameters == kernel:
        return name
    if not parameters.startswith(f"{kernel}-"):
        return nodeid
    return f"{name}[{parameters.removeprefix(f'{kernel}-')}]"


def kernel_in(nodeid: str, kernels: Iterable[str], flavors: Iterable[str]) -> str | None:
    """The kernel id that the parameters begin with, for a test that ended before it could say which kernel it had.

    It is one of `kernels`, otherwise a word with one slash whose flavor is one of `flavors`; the longest that fits.
    """
    parameters = nodeid.partition("[")[2].removesuffix("]")
    known = [kernel for kernel in kernels if parameters == kernel or parameters.startswith(f"{kernel}-")]
    if not known:
        name, slash, rest = parameters.partition("/")
        known = [
            f"{name}/{flavor}" for flavor in flavors if slash and (rest == flavor or rest.startswith(f"{flavor}-"))
        ]
    return max(known, key=len, default=None)


def ktap_name(nodeid: str) -> str:
    """The node id without what KTAP gives a meaning: a hash sign begins a directive, a newline a line.

    pytest gives no name to a collection that fails as a whole; a result line must have one.
    """
    return "".join(_ktap_char(char) for char in nodeid) or UNNAMED


def _ktap_char(char: str) -> str:
    if char.isprintable() and char not in "%#":
        return char
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def kcidb_path(result: Result) -> str:
    """The place of a test in KCIDB's tree, the same on each kernel.

    Its alphabet is letters, digits, `_` and `-`.  A part with other characters gets a piece of a digest, so that no
    two tests share a path.
    """
    name, _, parameters = without_kernel(result.nodeid, result.kernel).partition("[")
    file, *inner = name.split("::")
    parts = [*file.removeprefix("suites/").removesuffix(".py").split("/"), *inner]
    if parameters:
        parts.append(parameters.removesuffix("]"))
    return ".".join(["kconform", *(_path_part(part) for part in parts if part)])


def _path_part(part: str) -> str:
    clean = _NO_PATH.sub("_", part)
    if clean == part:
        return part
    digest = hashlib.sha256(part.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{clean}-{digest}"


def junit_name(nodeid: str) -> tuple[str, str]:
    """classname and name as pytest's own file has them: `suites.yama.test_log`, `test_rate[many]`."""
    name, bracket, parameters = nodeid.partition("[")
    *outer, last = name.split("::")
    if not outer:  # a file that could not be collected
        return "", nodeid
    outer[0] = outer[0].removesuffix(".py").replace("/", ".")
    return ".".join(outer), last + bracket + parameters
