# SPDX-License-Identifier: GPL-2.0-or-later
"""The protocol: host and agent agree on every number and structure, and frames can be received in any pieces.

This also tests the agent's sources without running the agent: they compile, and parse the text of /proc correctly.
"""

from __future__ import annotations

import enum
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from guests import call_arguments
from guests.call_arguments import InOut, Out, marshal
from guests.errors import ProtocolError
from guests.protocol import wire
from guests.protocol.wire import Entry, Event, Frame, Hello, Op, SpawnOption, State, Step
from guests.uapi import Cap, Clone, Prctl, Signal
from guests.vm import initramfs
from guests.vm.initramfs import AGENT

HEADER = (AGENT / "wire.h").read_text()

ENUMS = {
    "wire_op": {**{f"OP_{one.name}": one.value for one in Op}, **{f"EVENT_{one.name}": one.value for one in Event}},
    "wire_entry": {f"ENTRY_{one.name}": one.value for one in Entry},
    "wire_state": {f"STATE_{one.name}": one.value for one in State},
    "wire_spawn": {f"SPAWN_{one.name}": one.value for one in SpawnOption},
    "wire_step": {f"STEP_{one.name}": one.value for one in Step},
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
    "LOOP_STEPS": wire.LOOP_STEPS,
    "LOOP_ERRORS": wire.LOOP_ERRORS,
    "SWEEP_COUNT": wire.SWEEP_COUNT,
    "SWEEP_LEFT_OUT": wire.SWEEP_LEFT_OUT,
    "SWEEP_LARGE": wire.SWEEP_LARGE,
}
AGENTS_OWN = {"SLOT_STACK_TOP", "KCONFORM_WIRE_H", "WIRE_PACKED"}
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
    "wire_loop_step": (wire.LOOP_STEP, ("number", "arguments", "kind", "result_of", "argument")),
    "wire_plan": (wire.PLAN, ("rounds", "steps")),
    "wire_count": (wire.COUNT, ("error", "count")),
    "wire_sweep": (wire.SWEEP, ("arguments", "first", "count", "entry", "left_out")),
}


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


@pytest.mark.parametrize("arch", initramfs._ARCH_FLAGS)
def test_an_architecture_is_one_header_and_one_assembly_file(arch: str, tmp_path: Path) -> None:
    """No other file of the agent names the architecture."""
    assert {path.suffix for path in AGENT.glob(f"arch_{arch}.*")} == {".h", ".S"}
    others = [path.name for path in AGENT.iterdir() if not path.name.startswith("arch_") and arch in path.read_text()]
    assert others == []
    if shutil.which(initramfs.compiler(arch)) is None:
        pytest.skip(f"needs {initramfs.compiler(arch)} to compile the agent")
    command = initramfs.compile_command(arch, tmp_path / "agent")
    assert {"-Wall", "-Wextra", "-Werror"} <= set(command)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="session")
def pending_signals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[int]]:
    """The agent's parser of /proc/PID/status: returns the pending signals."""
    folder = tmp_path_factory.mktemp("proc-text")
    (folder / "pending.c").write_text(
        '#include <stdio.h>\n#include "proc_text.h"\n'
        "int main(int argc, char **argv)\n{\nfor (int i = 1; argc == 2 && i <= 64; i++)\n"
        'if (status_has_pending(argv[1], i))\nprintf("%d\\n", i);\nreturn 0;\n}\n'
    )
    program = folder / "pending"
    sources = [folder / "pending.c", AGENT / "proc_text.c", AGENT / "text.c"]
    subprocess.run(["cc", "-Wall", "-Werror", f"-I{AGENT}", "-o", program, *sources], check=True)

    def read(status: str) -> list[int]:
        told = subprocess.run([program, status], capture_output=True, text=True, check=True).stdout
        return [int(line) for line in told.split()]

    return read


class TestPendingSignals:
    """A dying thread has SIGKILL pending, which /proc shows in a set of hexadecimal digits (fs/proc/array.c)."""

    STATUS = "Name:\tevil\nState:\tS (sleeping)\nThreads:\t2\nSigPnd:\t{:016x}\nShdPnd:\tffffffffffffffff\n"

    @pytest.mark.parametrize("digit", range(16), ids="{:x}".format)
    def test_each_digit_of_the_set_is_read(self, pending_signals: Callable[[str], list[int]], digit: int) -> None:
        """SIGKILL is the lowest bit of the third digit from the end."""
        wanted = [9 + bit for bit in range(4) if digit >> bit & 1]
        assert pending_signals(self.STATUS.format(digit << 8)) == wanted

    @pytest.mark.parametrize("signals", [0x0123456789ABCDEF, 0xFEDCBA9876543210, 2**64 - 1], ids=hex)
    def test_all_the_digits_of_the_set_are_read(
        self, pending_signals: Callable[[str], list[int]], signals: int
    ) -> None:
        assert pending_signals(self.STATUS.format(signals)) == [i for i in range(1, 65) if signals >> (i - 1) & 1]

    def test_a_truncated_set_counts_as_full(self, pending_signals: Callable[[str], list[int]]) -> None:
        """The agent must not assume that such a thread survives."""
        status = self.STATUS.format(0)
        for end in (status.index("SigPnd"), status.index("ShdPnd") - 2):
            assert pending_signals(status[:end]) == list(range(1, 65))


class TestFrames:
    FRAMES = (Frame(Op.HELLO, 0, 1), Frame(Op.CALL, 511, 2**32 - 1, b"body"), Frame(Op.POKE, 3, 3, bytes(300)))

    @pytest.mark.parametrize("step", [1, 2, 19, 20, 21, 1000])
    def test_frames_are_assembled_from_any_pieces(self, step: int) -> None:
        stream = b"".join(frame.encode() for frame in self.FRAMES)
        buffer, got = bytearray(), []
        for start in range(0, len(stream), step):
            buffer += stream[start : start + step]
            while (frame := wire.split(buffer)) is not None:
                got.append(frame)
        assert tuple(got) == self.FRAMES
        assert not buffer

    def test_data_after_a_frame_stay_in_the_buffer(self) -> None:
        buffer = bytearray(self.FRAMES[0].encode() + b"rest")
        assert wire.split(buffer) == self.FRAMES[0]
        assert buffer == b"rest"
        assert wire.split(buffer) is None

    def test_a_frame_of_the_maximum_size_can_be_sent_but_no_longer_one(self) -> None:
        frame = Frame(Op.POKE, 1, 1, bytes(wire.BODY_MAX))
        assert wire.split(bytearray(frame.encode())) == frame
        with pytest.raises(ValueError, match=f"at most {wire.BODY_MAX}"):
            Frame(Op.POKE, 1, 1, bytes(wire.BODY_MAX + 1)).encode()

    def test_a_frame_that_claims_a_longer_body_is_rejected_immediately(self) -> None:
        with pytest.raises(ProtocolError, match="claims a body"):
            wire.split(bytearray(wire.header(wire.BODY_MAX + 1, Op.HELLO, 0, 1, 0)))

    def test_hello_is_read_back(self) -> None:
        body = wire.HELLO.pack(2, 4096, 0x401000, 0x402000, b"6.12.7", b"x86_64")
        assert Hello.decode(body) == Hello(2, 4096, 0x401000, 0x402000, "6.12.7", "x86_64")

    def test_spawn_truncates_a_name_as_the_kernel_does(self) -> None:
        body = wire.spawn_body(
            child=7,
            clone_flags=Clone.NEWPID,
            name=b"seventeen letters",
            uid=1,
            gid=2,
            capabilities=Cap.ALL,
            options=SpawnOption.BARE | SpawnOption.QUIET,
        )
        assert wire.SPAWN.unpack(body) == (0x20000000, (1 << 41) - 1, 1, 2, 9, 7, b"seventeen lette\0")


class TestCallBodies:
    def test_negative_and_huge_numbers_are_64_bits_wide(self) -> None:
        body = wire.call_body(-1, [-1, -100, 1 << 63, 2**64 - 1, 0, 5])
        number, *arguments, entry, writes, reads = wire.CALL.unpack(body)
        assert number == 2**64 - 1
        assert arguments == [2**64 - 1, 2**64 - 100, 1 << 63, 2**64 - 1, 0, 5]
        assert (entry, writes, reads) == (Entry.NATIVE, 0, 0)

    def test_missing_arguments_are_zero(self) -> None:
        assert wire.CALL.unpack(wire.call_body(39, []))[1:7] == (0,) * 6

    def test_a_seventh_argument_is_rejected(self) -> None:
        with pytest.raises(struct.error):
            wire.call_body(39, [0] * 7)

    def test_pieces_follow_in_their_order(self) -> None:
        body = wire.call_body(0, [], entry=Entry.INT80, writes=[(0, b"ab"), (16, b"c")], reads=[(32, 4)])
        assert wire.CALL.unpack_from(body)[7:] == (Entry.INT80, 2, 1)
        assert body[wire.CALL.size :] == (
            wire.PIECE.pack(0, 2) + b"ab" + wire.PIECE.pack(16, 1) + b"c" + wire.PIECE.pack(32, 4)
        )

    def test_results_are_read_back(self) -> None:
        body = wire.RESULT.pack(-13, State.RETURNED) + b"abcde"
        assert wire.split_result(body) == (State.RETURNED, -13, b"abcde")
        assert wire.split_reads(b"abcde", (2, 0, 3)) == (b"ab", b"", b"cde")

    def test_an_unknown_state_is_an_error(self) -> None:
        with pytest.raises(ProtocolError, match="no state 9"):
            wire.split_result(wire.RESULT.pack(0, 9))


class AnyTask:
    tid = 4711

    def __str__(self) -> str:
        return "somebody[4711]"


class Colour(enum.IntEnum):
    RED = 1


class TestMarshalling:
    SLOT = 3
    BASE = 0x10000000 + 3 * 0x20000 + 0x2000

    def test_numbers_and_tasks_are_passed_as_they_are(self) -> None:
        laid = marshal(self.SLOT, [5, -1, None, True, Cap.KILL, AnyTask()])
        assert laid.numbers == [5, -1, 0, 1, 32, 4711]
        assert (laid.writes, laid.reads) == ([], [])

    def test_strings_and_bytes_become_pointers_to_aligned_copies(self) -> None:
        laid = marshal(self.SLOT, ["0123456789abcdef", b"xyz", "last"])
        assert laid.numbers == [self.BASE, self.BASE + 32, self.BASE + 48]
        assert laid.writes == [(0, b"0123456789abcdef\0"), (32, b"xyz"), (48, b"last\0")]
        assert laid.reads == []

    def test_buffers_are_cleared_before_and_read_after_the_call(self) -> None:
        laid = marshal(self.SLOT, [Out(20), InOut(b"ask"), Out(0)])
        assert laid.numbers == [self.BASE, self.BASE + 32, self.BASE + 48]
        assert laid.writes == [(0, bytes(20)), (32, b"ask"), (48, b"")]
        assert laid.reads == [(0, 20), (32, 3), (48, 0)]

    def test_arguments_that_do_not_fit_into_the_slot_are_rejected(self) -> None:
        whole = wire.SLOT_DATA_SIZE
        assert marshal(self.SLOT, [Out(whole)]).reads == [(0, whole)]
        cases: list[list[call_arguments.Argument]] = [
            [Out(whole + 1)],
            [b"x", Out(whole)],
            [Out(whole - 16), 16 * "x"],
        ]
        for too_much in cases:
            with pytest.raises(ValueError, match=f"more than {whole}"):
                marshal(self.SLOT, too_much)

    @pytest.mark.parametrize(
        ("argument", "shown"),
        [
            (0, "0"),
            (-100, "-100"),
            (65535, "65535"),
            (65536, "0x10000"),
            (-4096, "0xfffffffffffff000"),
            (None, "NULL"),
            (True, "1"),
            ("/tmp", '"/tmp"'),  # noqa: S108 - in the guest
            (b"short", "b'short'"),
            (bytes(33), "33 bytes"),
            (Out(4), "out[4]"),
            (InOut(b"12"), "inout[2]"),
            (Prctl.SET_PTRACER, "PRCTL_SET_PTRACER"),
            (Signal.KILL, "SIGNAL_KILL"),
            (Colour.RED, "COLOUR_RED"),
            (Clone.VM | Clone.FS, "VM|FS"),
            (AnyTask(), "somebody[4711]"),
        ],
    )
    def test_the_transcript_shows_readable_arguments(self, argument: call_arguments.Argument, shown: str) -> None:
        assert call_arguments.show(argument) == shown
