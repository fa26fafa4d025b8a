# SPDX-License-Identifier: GPL-2.0-or-later
"""The registers of a call, as a tracer or a signal handler finds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guests.abi import Abi


@dataclass(frozen=True)
class CallRegisters:
    """Where a call is in the registers, by their names."""

    number: str
    """What a tracer changes to make it another call, or with -1 none; in a signal's context, what has the number."""
    result: str
    arguments: tuple[str, ...]
    """One that is not among the registers is out of a tracer's reach."""
    ip: str
    sp: str


class Registers(dict[str, int]):
    """Registers by their names, of which some have a meaning for every ABI."""

    def __init__(self, abi: Abi, calls: CallRegisters, values: Mapping[str, int]) -> None:
        super().__init__(values)
        self._abi, self._calls = abi, calls

    @property
    def nr(self) -> int:
        """The number of the call, as a C int."""
        return (self[self._calls.number] + (1 << 31)) % (1 << 32) - (1 << 31)

    @property
    def result(self) -> int:
        """The register for the result, as a C long; an error is negative."""
        bits = 8 * self._abi.word
        value = (self[self._calls.result] + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)
        register, bit = self._abi.error_bit or (self._calls.result, 0)
        return -value if self[register] & bit else value

    @property
    def arguments(self) -> tuple[int, ...]:
        """The six arguments of the call.  KeyError if one is not among the registers."""
        return tuple(self[name] for name in self._calls.arguments)

    def has_arguments(self, *values: int) -> bool:
        """Whether these are the arguments of the call, as far as they are among the registers."""
        return all(self.get(name, value) == value for name, value in zip(self._calls.arguments, values, strict=False))

    @property
    def ip(self) -> int:
        """The instruction pointer."""
        return self[self._calls.ip]

    @property
    def sp(self) -> int:
        """The stack pointer."""
        return self[self._calls.sp]
