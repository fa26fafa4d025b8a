# SPDX-License-Identifier: GPL-2.0-or-later
"""The protocol: host and agent agree on every number and structure."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest

from guests.abi import size_of
from guests.protocol import meeting_layout, wire
from guests.protocol.meeting_layout import Watched
from guests.protocol.wire import Entry, Event, Op, SpawnOption, State, Step
from guests.vm.initramfs import AGENT

HEADER = (AGENT / "wire.h").read_text()
ENUMS = {
    "wire_op": {**{f"OP_{one.name}": one.value for one in Op}, **{f"EVENT_{one.name}": one.value for one in Event}},
    "wire_entry": {f"ENTRY_{one.name}": one.value for one in Entry},
    "wire_state": {f"STATE_{one.name}": one.value for one in State},
    "wire_spawn": {f"SPAWN_{one.name}": one.value for one in SpawnOption},
    "wire_step": {f"STEP_{one.name}": one.value for one in Step},
    "wire_watch_kind": {f"WATCH_{one.name}": one.value for one in Watched},
}
CONSTANTS = {
    "WIRE_VERSION": wire.VERSION,
    "WIRE_BODY_MAX": wire.BODY_MAX,
    "ARENA_BASE": wire.ARENA_BASE,
    "SLOT_SIZE": wire.SLOT_SIZE,
    "SLOT_COUNT": wire.SLOT_COUNT,
    "SPARE_CHILDREN": wire.SPARE_CHILDREN,
    "SLOT_DATA": wire.SLOT_DATA,
    "SLOT_DATA_SIZE": wire.SLOT_DATA_SIZE,
    "CAUGHT_MAX": wire.CAUGHT_MAX,
    "PLAN_STEPS": wire.PLAN_STEPS,
    "PLAN_ERRORS": wire.PLAN_ERRORS,
    "MEETING_GATES": meeting_layout.MEETING_GATES,
    "MEETING_WATCHED": meeting_layout.MEETING_WATCHED,
    "MEETING_OUTCOMES": meeting_layout.MEETING_OUTCOMES,
    "SWEEP_COUNT": wire.SWEEP_COUNT,
    "SWEEP_LEFT_OUT": wire.SWEEP_LEFT_OUT,
    "SWEEP_LARGE": wire.SWEEP_LARGE,
}
AGENTS_OWN = {"NOT_COMPLETED", "SLOT_STACK_TOP", "KCONFORM_WIRE_H", "WIRE_ORDER", "WIRE_PACKED"}
"""Constants in wire.h that only the agent uses."""
# The format of each C structure in wire.py, and its members in the same order; padding is omitted.
STRUCTURES = {
    "wire_header": (wire.HEADER, ("length", "op", "slot", "sequence", "body_check", "check")),
    "wire_hello": (
        wire.HELLO,
        ("version", "page_size", "signal_handler", "signal_restorer", "release", "machine"),
    ),
    "wire_spawn_request": (
        wire.SPAWN,
        ("clone_flags", "capabilities", "uid", "gid", "options", "child", "name"),
    ),
    "wire_spawn_reply": (wire.SPAWN_REPLY, ("error", "pid", "own_pid")),
    "wire_call": (wire.CALL, ("number", "arguments", "entry", "writes", "reads")),
    "wire_result": (wire.RESULT, ("value", "state")),
    "wire_piece": (wire.PIECE, ("offset", "length")),
    "wire_copy": (wire.COPY, ("to", "from", "length")),
    "wire_write": (wire.WRITE, ("flags", "mode")),
    "wire_death": (wire.DEATH, ("status", "state")),
    "wire_handler": (wire.HANDLER, ("result", "set_result", "change")),
    "wire_caught": (wire.CAUGHT, ("siginfo", "context")),
    "wire_plan_step": (wire.PLAN_STEP, ("number", "arguments", "kind", "result_of", "argument")),
    "wire_plan": (wire.PLAN, ("rounds", "steps")),
    "wire_count": (wire.COUNT, ("error", "count")),
    "wire_watch": (struct.Struct(f"<{meeting_layout.WATCH}"), ("slot", "kind", "place")),
    "wire_gate": (struct.Struct(f"<{meeting_layout.GATE}"), ("arrived", "met", "asleep", "awake")),
    "wire_outcome": (struct.Struct(f"<{meeting_layout.OUTCOME}"), ("count", "first", "results")),
    "wire_sweep": (wire.SWEEP, ("arguments", "first", "count", "entry", "left_out")),
}


GATES = meeting_layout.MEETING_GATES * size_of(meeting_layout.GATE)
WATCHES = meeting_layout.MEETING_WATCHED * size_of(meeting_layout.WATCH)
OUTCOMES = meeting_layout.MEETING_OUTCOMES * size_of(meeting_layout.OUTCOME)
MEETING = struct.Struct(f"<{meeting_layout.MEETING}{GATES}s{WATCHES}s{OUTCOMES}s")
STRUCTURES["wire_meeting"] = (
    MEETING,
    (
        *("acting", "overlap", "rounds", "overlaps", "lost", "watched", "seed", "longest"),
        *("gates", "watch", "outcomes"),
    ),
)


def c_enum(name: str) -> dict[str, int]:
    body = re.search(rf"enum {name} \{{(.*?)\}};", HEADER, re.DOTALL)
    assert body, f"wire.h has no enum {name}"
    return {found[1]: int(found[2]) for found in re.finditer(r"^\s*(\w+) = (\d+),", body[1], re.MULTILINE)}


def offsets(form: struct.Struct) -> list[int]:
    """The offset of each field of a format; an array (`6Q`) is one field, as in C."""
    fields = re.findall(r"(\d*)([a-zA-Z])", form.format)
    found, seen = [], "<"
    for count, letter in fields:
        if letter != "x":
            found.append(struct.calcsize(seen))
        seen += count + letter
    return found


def test_every_enumeration_is_compared() -> None:
    assert set(re.findall(r"^enum (\w+) \{", HEADER, re.MULTILINE)) == set(ENUMS)


@pytest.mark.parametrize("name", ENUMS)
def test_both_sides_have_the_same_values(name: str) -> None:
    """A value that one side changes, adds or removes is detected."""
    assert c_enum(name) == ENUMS[name]


def test_both_sides_have_the_same_constants() -> None:
    """The arena has the same address, and a frame the same maximum size, for host and agent."""
    numbers = re.findall(r"^#define (\w+) (0x[0-9a-f]+|\d+)\b", HEADER, re.MULTILINE)
    defined = {name: int(value, 0) for name, value in numbers}
    assert {name: defined[name] for name in CONSTANTS} == CONSTANTS
    assert set(re.findall(r"^#define (\w+)", HEADER, re.MULTILINE)) == {*CONSTANTS, *AGENTS_OWN}


def test_the_agents_limit_of_reads_is_the_protocols() -> None:
    (size,) = re.findall(r"struct wire_piece read\[(\d+)\];", (AGENT / "agent.h").read_text())
    assert int(size) == wire.READS_MAX


def test_every_structure_has_the_layout_that_the_host_packs(tmp_path: Path) -> None:
    """The C compiler's sizes and offsets are those of the format strings."""
    assert set(re.findall(r"^struct (\w+) \{", HEADER, re.MULTILINE)) == set(STRUCTURES)
    lines = []
    for name, (_, members) in STRUCTURES.items():
        shown = ", ".join(f"offsetof(struct {name}, {member})" for member in members)
        lines.append(f'printf("{name} %zu{" %zu" * len(members)}\\n", sizeof(struct {name}), {shown});')
    source = tmp_path / "layout.c"
    source.write_text(
        '#include <stddef.h>\n#include <stdio.h>\n#include "wire.h"\n'
        f"int main(void)\n{{\n{chr(10).join(lines)}\nreturn 0;\n}}\n"
    )
    program = tmp_path / "layout"
    subprocess.run(["cc", "-Wall", "-Werror", f"-I{AGENT}", "-o", str(program), str(source)], check=True)
    told = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    for line in told.splitlines():
        name, size, *places = line.split()
        form, members = STRUCTURES[name]
        assert int(size) == form.size, name
        assert dict(zip(members, map(int, places), strict=True)) == dict(zip(members, offsets(form), strict=True)), (
            name
        )
