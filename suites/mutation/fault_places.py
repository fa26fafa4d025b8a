# SPDX-License-Identifier: GPL-2.0-or-later
"""The places of a C function where a mechanical fault can be put.

There are five kinds: an operator is replaced or left out; a condition is negated, or always has the same value; a
constant has another value; a function returns another value; a statement is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from suites.mutation.c_source import CFunction, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

_REPLACED: Mapping[str, Sequence[str]] = {
    "==": ("!=",),
    "!=": ("==",),
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "&&": ("||",),
    "||": ("&&",),
    "&": ("|",),
    "|": ("&",),
    "+": ("-",),
    "-": ("+",),
    "<<": (">>",),
    ">>": ("<<",),
    "+=": ("-=",),
    "-=": ("+=",),
    "|=": ("&=",),
    "&=": ("|=",),
    "++": ("--",),
    "--": ("++",),
}
_LEFT_OUT = ("!", "~", "-")
_NAMES: Mapping[str, str] = {
    "==": "eq",
    "!=": "ne",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "&&": "and",
    "||": "or",
    "&": "bitand",
    "|": "bitor",
    "+": "plus",
    "-": "minus",
    "<<": "shl",
    ">>": "shr",
    "+=": "add",
    "-=": "subtract",
    "|=": "set",
    "&=": "mask",
    "++": "increment",
    "--": "decrement",
    "!": "not",
    "~": "complement",
}
_INVERTIBLE = re.compile(r"(binary_expression (?:[=!]=|[<>]=?)|unary_expression !)")
"""Conditions that are negated by a fault of their operator."""

_ERRNO = re.compile(r"E[A-Z0-9]{2,}")
_NOT_ENTERED = re.compile(r"ERROR|comment|(?:string|char)_literal|preproc_(?:def|function_def|call)|gnu_asm_.*")
_PRINTS = re.compile(r"(?:pr|dev)_[a-z_]+|_?printk\w*|static_assert|BUILD_BUG_ON\w*")
"""What is inside a call of these is no place.  The call itself can be left out."""


@dataclass(frozen=True)
class Place:
    """A fault, and where it would be."""

    kind: str
    function: str
    start: int
    end: int
    """Bytes of the file."""
    replacement: str
    name: str
    """What its id says of it; letters, digits and hyphens."""
    text: str
    """What its sentence says of it."""


def places(function: CFunction, live: set[int] | None) -> Iterator[Place]:
    """The places of a function, in its order.

    `live` has the numbers of the lines that are compiled: a statement is if its first line is.  None means all lines.
    """
    for kind, node, replacement, name, text in _faults(function.body, _returned(function), live):
        # The lines after it keep their numbers, which are in the kernel's tables of warnings.
        lost = text_of(node).count("\n") - replacement.count("\n")
        yield Place(kind, function.name, node.start_byte, node.end_byte, replacement + "\n" * lost, name, text)


_Fault = tuple[str, "Node", str, str, str]
"""Kind, what is replaced, by what, name, text."""


def _faults(node: Node, returned: Sequence[str], live: set[int] | None) -> Iterator[_Fault]:
    if _NOT_ENTERED.fullmatch(node.type) or node.is_missing or not _is_live(node, live):
        return
    if node.type == "call_expression" and _PRINTS.fullmatch(text_of(node.children[0])):
        return
    yield from _own_faults(node, returned)
    # What #if asks is not a part of the function.
    asked = node.child_by_field_name("condition") if node.type.startswith("preproc_") else None
    for child in node.children:
        if child != asked:
            yield from _faults(child, returned, live)


def _is_live(node: Node, live: set[int] | None) -> bool:
    is_statement = node.type.endswith("_statement") and node.type != "compound_statement"
    return live is None or not (is_statement or node.type == "declaration") or node.start_point.row + 1 in live


def _own_faults(node: Node, returned: Sequence[str]) -> Iterator[_Fault]:
    match node.type:
        case "binary_expression" | "assignment_expression" | "update_expression" | "unary_expression":
            yield from _operator_faults(node)
        case "if_statement" | "while_statement" | "do_statement" | "for_statement" | "conditional_expression":
            yield from _condition_faults(node)
        case "number_literal":
            text = text_of(node)
            for value in {"0": ("1",), "1": ("0", "2")}.get(text, ("0", f"({text} + 1)")):
                yield _constant_fault(node, value)
        case "true" | "false":
            yield _constant_fault(node, "false" if node.type == "true" else "true")
        case "return_statement":
            yield from _return_faults(node, returned)
        case "expression_statement" | "break_statement" | "continue_statement" | "goto_statement":
            # A macro with a block after it, such as list_for_each_entry(), looks like a call without a semicolon.
            if node.children[0].type != ";" and text_of(node.children[-1]) == ";":
                yield _without_statement(node)


def _operator_faults(node: Node) -> Iterator[_Fault]:
    operator = node.child_by_field_name("operator")
    if operator is None:
        return
    if node.type != "unary_expression":
        for other in _REPLACED.get(operator.type, ()):
            name = f"{_NAMES[operator.type]}-to-{_NAMES[other]}"
            yield "operator", operator, other, name, f"`{operator.type}` becomes `{other}` in {_quoted(node)}"
        return
    if operator.type in _LEFT_OUT:
        text = f"`{operator.type}` is left out of {_quoted(node)}"
        yield "operator", operator, "", f"without-{_NAMES[operator.type]}", text
    argument = node.child_by_field_name("argument")
    if operator.type == "-" and argument and _ERRNO.fullmatch(text_of(argument)):
        yield _constant_fault(argument, "EINVAL" if text_of(argument) == "EPERM" else "EPERM")


def _condition_faults(node: Node) -> Iterator[_Fault]:
    condition = node.child_by_field_name("condition")
    if condition is None:
        return
    inner = condition.named_children[0] if condition.type == "parenthesized_expression" else condition
    if inner.type in ("number_literal", "true", "false"):
        return
    open_, close = ("(", ")") if inner != condition else ("", "")
    word, quoted = node.type.partition("_")[0], _quoted(condition)
    operator = inner.child_by_field_name("operator")
    if not _INVERTIBLE.fullmatch(f"{inner.type} {operator.type if operator else ''}"):
        replacement = f"{open_}!({text_of(inner)}){close}"
        yield "condition", condition, replacement, f"{word}-negated", f"the condition {quoted} is negated"
    # A loop that never ends would only show that tests have deadlines.
    for value, always in (("1", "true"), ("0", "false")):
        if value == "0" or word in ("if", "conditional"):
            replacement = f"{open_}{value}{close}"
            yield (
                "condition",
                condition,
                replacement,
                f"{word}-{always}",
                f"the condition {quoted} is always {always}",
            )


def _constant_fault(node: Node, value: str) -> _Fault:
    old = text_of(node)
    old_name, new_name = (re.sub(r"\W", "", one.replace(" + ", "plus").replace("-", "minus")) for one in (old, value))
    name = f"{old_name}-to-{new_name}"
    return "constant", node, value, name, f"`{old}` becomes `{value}` in {_quoted(_statement_of(node))}"


def _return_faults(node: Node, returned: Sequence[str]) -> Iterator[_Fault]:
    value = next((child for child in node.named_children if child.type != "comment"), None)
    if value is None:
        yield _without_statement(node)
        return
    old = text_of(value)
    for new in returned:
        negated = new == "!"
        if negated and old in ("true", "false"):
            continue  # the same as the fault of the constant
        is_same = old == new or (new in ("0", "NULL") and old in ("0", "NULL", "false"))
        is_errno = new.startswith("-") and old.startswith("-")
        if not is_same and not is_errno:
            replacement = f"!({old})" if negated else new
            name = f"return-{'negated' if negated else new.strip('-')}"
            text = f"{_quoted(replacement)} is returned instead of {_quoted(value)}"
            yield "return", value, replacement, name, text


def _returned(function: CFunction) -> Sequence[str]:
    """What a function of this type may return instead; `!` is the negated value."""
    kind = function.returns
    if "*" in kind:
        return ("NULL",)
    if re.search(r"\bbool\b", kind):
        return ("!",)
    if re.search(r"\bvoid\b", kind):
        return ()
    if re.search(r"\b(?:int|long|ssize_t)\b", kind) and "unsigned" not in kind:
        return ("0", "-EPERM")
    return ("0", "1")


def _without_statement(node: Node) -> _Fault:
    word = re.search(r"\w+", text_of(node))
    return "statement", node, ";", f"without-{word[0] if word else 'statement'}", f"{_quoted(node)} is left out"


def _statement_of(node: Node) -> Node:
    """The smallest statement, declaration or condition that has the node in it."""
    found = node
    while found.parent and not re.search(r"parenthesized_expression|statement$|declaration$", found.type):
        found = found.parent
    return found


def _quoted(code: Node | str) -> str:
    text = " ".join((code if isinstance(code, str) else text_of(code)).split())
    return f"`{text if len(text) <= 70 else f'{text[:67]}...'}`"
