# SPDX-License-Identifier: GPL-2.0-or-later
"""C sources of the kernel, parsed by tree-sitter: the functions, and the lines that are compiled.

tree-sitter knows nothing of macros.  What it cannot parse becomes a node that has an error, and the rest of the
function is parsed all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import UsageError

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_MARKER = re.compile(r'# (\d+) "((?:[^"\\]|\\.)*)"')
_SYSCALL = re.compile(r"(COMPAT_)?SYSCALL_DEFINE\d\((\w+)")
_AT_START = re.compile(r"\b__(init|exit)\b")


@dataclass(frozen=True)
class CFunction:
    name: str
    returns: str
    """The return type, as it is written, such as `static struct file *`."""
    body: Node


def c_parser() -> Parser:
    """UsageError if tree-sitter is not installed."""
    try:
        import tree_sitter
        import tree_sitter_c
    except ImportError as error:
        raise UsageError(
            f"mechanical mutants need a parser of C, and {error.name} is not installed",
            hint="pip install tree-sitter tree-sitter-c; tox -e mutants has both",
        ) from error
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_c.language()))


def functions(source: bytes) -> Iterator[CFunction]:
    """The functions of a file, except those that only run when the kernel or a module starts or ends."""
    return _functions(c_parser().parse(source).root_node)


def _functions(node: Node) -> Iterator[CFunction]:
    head: Node | None = None
    for child in node.children:
        if child.type.startswith("preproc_"):
            yield from _functions(child)
        elif child.type == "function_definition" and (found := _function(child)):
            yield found
        elif child.type == "compound_statement" and head and (macro := _SYSCALL.match(text_of(head))):
            # SYSCALL_DEFINE3(seccomp, ...) looks like a call, with a block after it.
            yield CFunction(f"{'compat_' if macro[1] else ''}sys_{macro[2]}", "long", child)
        head = child


def _function(node: Node) -> CFunction | None:
    body, declarator = node.child_by_field_name("body"), node.child_by_field_name("declarator")
    if body is None or declarator is None:
        return None
    head = text_of(node)[: body.start_byte - node.start_byte]
    if _AT_START.search(head):
        return None
    name = re.search(r"(\w+)\s*\(", text_of(declarator))
    return CFunction(name[1], head.partition(name[0])[0].strip(), body) if name else None


def live_lines(preprocessed: str, file: str) -> set[int]:
    """The lines of a source file, counted from 1, that left something in the preprocessor's output.

    What a macro call leaves is all on the line where the call begins.
    """
    live, number, inside = set(), 0, False
    for line in preprocessed.split("\n"):
        if marker := _MARKER.match(line):
            number, inside = int(marker[1]), marker[2] == file or marker[2].endswith(f"/{file}")
            continue
        if inside and line and not line.isspace():
            live.add(number)
        number += 1
    return live


def text_of(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")
