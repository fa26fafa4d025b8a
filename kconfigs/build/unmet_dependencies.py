# SPDX-License-Identifier: GPL-2.0-or-later
"""Why Kconfig dropped an option: which of its dependencies are not met.

kconfiglib reads the tree's Kconfig files, in a process of its own because it takes its inputs from the environment.
It knows Kconfig's language as of 2019, so newer constructs are rewritten first.
`python -m kconfigs.build.unmet_dependencies TREE CONFIG` reads a list of options as JSON and answers with JSON.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kconfigs.architectures import Architecture
from kconfigs.kconfig import Option

_REWRITES = (
    (re.compile(r"^\s+modules\s*$"), "\toption modules\n"),
    (re.compile(r"^\s+transitional\s*$"), "\n"),
    (re.compile(r"^(\s+depends on )([^#]+) if ([^#\n]+)"), r"\1(\2) || !(\3)"),
)

_TOOLS = {
    "HOSTCXX": "g++",
    "PAHOLE": "pahole",
    "RUSTC": "false",
    "BINDGEN": "false",
    "RUSTC_VERSION_TEXT": "",
    "PAHOLE_VERSION": "0",
}
"""Those that no option of a toolchain chooses."""

NO_SUCH_OPTION = "this kernel has no such option"


@dataclass(frozen=True)
class Explanation:
    """What Kconfig knows of some options."""

    reasons: Mapping[str, str]
    """Why each has not the value that was asked for, in a phrase."""
    settable: frozenset[str]
    """Those that have a prompt, so that a user can set them; Kconfig computes the others."""


def explain(
    tree: Path, config: Path, options: Sequence[Option], env: Mapping[str, str], arch: Architecture
) -> Explanation | None:
    """None if kconfiglib cannot read this tree."""
    root = Path(__file__).parents[2]
    query = json.dumps([[option.name, option.value] for option in options])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "kconfigs.build.unmet_dependencies", str(tree), str(config)],
            input=query,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=300,
            check=True,
            cwd=tree,
            env={**_TOOLS, **env, **_tree_variables(tree, arch), "PYTHONPATH": str(root)},
        )
        found = json.loads(done.stdout)
        return Explanation(found["reasons"], frozenset(found["settable"]))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def modernised(line: str) -> str:
    """A line of Kconfig in the language that kconfiglib knows."""
    for pattern, replacement in _REWRITES:
        line = pattern.sub(replacement, line)
    return line


def _tree_variables(tree: Path, arch: Architecture) -> dict[str, str]:
    version = re.findall(
        r"^(?:VERSION|PATCHLEVEL|SUBLEVEL) *= *(\d+)",
        (tree / "Makefile").read_text(encoding="utf-8", errors="replace"),
        re.MULTILINE,
    )
    return {"srctree": ".", "ARCH": arch.kbuild_arch, "SRCARCH": arch.srcarch, "KERNELVERSION": ".".join(version[:3])}


def _main(config: str) -> None:
    import kconfiglib

    class Tolerant(kconfiglib.Kconfig):  # type: ignore[misc]
        def _open(self, filename: str, mode: str) -> Any:
            if mode != "r":
                return super()._open(filename, mode)
            with open(filename, encoding="utf-8") as file:  # noqa: PTH123 - as kconfiglib does it
                return io.StringIO("".join(map(modernised, file)))

    kconfig = Tolerant("Kconfig", warn=False)
    kconfig.load_config(config)

    def parts(expression: Any) -> list[Any]:
        """The operands of the topmost ANDs."""
        if isinstance(expression, tuple) and expression[0] == kconfiglib.AND:
            return parts(expression[1]) + parts(expression[2])
        return [expression]

    def named(expression: Any) -> str:
        text = kconfiglib.expr_str(expression)
        if isinstance(expression, tuple):
            return f"({text})" if expression[0] == kconfiglib.OR else str(text)
        if expression is kconfig.n:  # the value of a macro that has tried the tools
            return "something that this toolchain lacks"
        return f"{text} (is {expression.str_value})"

    def reason(name: str, value: str) -> str:
        symbol = kconfig.syms.get(name)
        if symbol is None or not symbol.nodes:
            return NO_SUCH_OPTION
        ceiling = 2 if value != "m" else 1
        if value == "n":
            selecting = [part for part in _operands(symbol.rev_dep, kconfiglib.OR) if kconfiglib.expr_value(part) > 0]
            if selecting:
                return "selected by " + ", ".join(kconfiglib.expr_str(part) for part in selecting)
        lacking: list[str] = []
        for node in symbol.nodes:
            conditions = [node.dep, *([node.prompt[1]] if node.prompt else [])]
            for part in (part for condition in conditions for part in parts(condition)):
                if kconfiglib.expr_value(part) < ceiling and named(part) not in lacking:
                    lacking.append(named(part))
        if lacking:
            return "needs " + ", ".join(lacking)
        if not any(node.prompt for node in symbol.nodes):
            if value == "n":
                return f"follows from {kconfiglib.expr_str(symbol.direct_dep)}"
            return "cannot be chosen, only selected by another option"
        if symbol.choice is not None:
            return f"{symbol.choice.selection.name if symbol.choice.selection else 'none'} was chosen instead"
        return "its dependencies are met, but Kconfig decided otherwise"

    asked = json.load(sys.stdin)
    settable = [
        name for name, _ in asked if name in kconfig.syms and any(node.prompt for node in kconfig.syms[name].nodes)
    ]
    print(json.dumps({"reasons": {name: reason(name, value) for name, value in asked}, "settable": settable}))


def _operands(expression: Any, operator: int) -> list[Any]:
    if isinstance(expression, tuple) and expression[0] == operator:
        return _operands(expression[1], operator) + _operands(expression[2], operator)
    return [expression]


if __name__ == "__main__":
    _main(sys.argv[2])
