# SPDX-License-Identifier: GPL-2.0-or-later
"""A walk: a random sequence of steps that a model of the specification and a guest take side by side.

An area derives its walks from `Walk`, with a method for each action (`@action`).  Each step is a line of a scenario,
as one would write it in a test: the walk keeps the lines that it has executed, so a difference is printed as a test
that shows it.

    self.do("b = a.spawn('b')")                                     # prepares; must succeed
    self.compare("b.attach(a)", Prediction(EPERM, "yama.scope-1"))  # the model's prediction, and whose promise it is
"""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, NoReturn

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from guests.errors import GuestBroke, KconformError, SetupFailed
from guests.outcome import Expected, Outcome
from guests.promises import breaks
from suites.walks.scenario import as_test
from suites.walks.walk_context import WalkContext

IMPORTS: Mapping[str, str] = {
    **dict.fromkeys(("GONE", "OK", "EACCES", "EBADF", "EBUSY", "EINVAL", "EPERM", "ESRCH"), "guests.outcome"),
    **dict.fromkeys(("ENOSYS", "exited", "killed", "returned"), "guests.outcome"),
    **dict.fromkeys(("PTRACER_ANY", "WALL", "Cap", "Clone", "Signal"), "guests.uapi"),
}
"""The names that the lines of all areas may use, and the modules that define them."""


FIXED_WALKS = 2
"""Walks of each test in a run that does not ask for more; they are the same each time."""
PARTS = (1, 2)
"""The tests that take the same kind of walks from different seeds, so that two workers share them."""


@dataclass(frozen=True)
class Prediction:
    """What the model predicts of a call, and the requirement from which it follows."""

    expected: Expected
    promise: str
    settles: bool = False
    """Whether it may take some time until the kernel gets there, such as an RCU grace period."""

    def __str__(self) -> str:
        return source_of(self.expected)


def source_of(expected: Expected) -> str:
    """An expectation as it is written in a test: `EPERM`, `returned(7)`, `killed(Signal.SYS)`."""
    if returned := re.fullmatch(r"OK\((-?\d+)\)", expected.name):
        return f"returned({returned[1]})"
    if exited := re.fullmatch(r"exited with (\d+)", expected.name):
        return f"exited({exited[1]})"
    if killed := re.fullmatch(r"killed by SIG(\w+)", expected.name):
        return f"killed(Signal.{killed[1]})"
    if number := re.fullmatch(r"errno (\d+)", expected.name):
        return f"error({number[1]})"
    return "GONE" if expected.name == "the thread ended alone" else expected.name


Choices = Callable[[Any], Sequence[Any] | st.SearchStrategy[Any]]
"""What an argument of an action may be at this point of a walk."""


def action(weight: int = 1, **arguments: Choices) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A method that is a step of a walk.

    weight: how often it is chosen, compared with the others.  arguments: the choices for each of its arguments, or a
    strategy; while there are no choices for one of them, it is not chosen, so no step is wasted.
    """

    def register(method: Callable[..., None]) -> Callable[..., None]:
        method.weight, method.arguments = weight, arguments  # type: ignore[attr-defined]
        return method

    return register


class WalkDifference(AssertionError):
    """The kernel did something else than the model predicts."""

    def __init__(self, message: str, scenario: str) -> None:
        super().__init__(message)
        self.evidence = {"scenario": scenario}
        self.add_note(f"the shortest scenario that shows it:\n\n{scenario}")


@st.composite
def steps(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """The name of an action that is possible, and its arguments."""
    walk: Walk = draw(st.runner())

    def one_of(values: Sequence[Any] | st.SearchStrategy[Any]) -> Any:
        if isinstance(values, st.SearchStrategy):
            return draw(values)
        # A strategy of numbers is made once, one of values anew for each step.
        return values[draw(st.integers(0, len(values) - 1))]

    weighted, open_to = walk.possible_steps()
    name = one_of(weighted)
    return name, {argument: one_of(values) for argument, values in open_to[name].items()}


def beginning(**strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """The method with which an area's walks begin; it draws from the strategies what differs between them."""

    def register(method: Callable[..., None]) -> Any:
        def begin(self: Walk, is_walk: bool, **drawn: Any) -> None:
            # Hypothesis begins with the simplest choices, whose walk would be the same in each run, and take a guest.
            hypothesis.assume(is_walk)
            self.take_guest()
            method(self, **drawn)

        return initialize(is_walk=st.booleans(), **strategies)(begin)  # type: ignore[call-overload]

    return register


class Walk(RuleBasedStateMachine):
    """One walk through a model and a guest."""

    context: ClassVar[WalkContext]
    imports: ClassVar[Mapping[str, str]] = {}
    """Names that the area's lines use, besides IMPORTS, and the modules that define them."""
    marks: ClassVar[tuple[str, ...]] = ()
    """The marks of a test that is made from a walk."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.over = True
        """Whether it has not begun, a difference was found, or the guest broke."""
        self.names: dict[str, Any] = {name: _named(name, module) for name, module in self._vocabulary.items()}
        self.guest: Any = None

    def take_guest(self) -> None:
        self.context.starts()
        with self.harness_errors_stop():
            self.guest = self.names["guest"] = self.context.take()
        self.over = False

    @property
    def _vocabulary(self) -> dict[str, str]:
        return {**IMPORTS, **self.imports}

    def teardown(self) -> None:
        """The end of a walk: the kernel must not have complained."""
        self.context.steps += len(self.lines)
        if self.over:
            return
        with self.harness_errors_stop():
            if complaint := self.context.complaint(self.guest):
                raise GuestBroke(complaint)

    @contextlib.contextmanager
    def harness_errors_stop(self) -> Iterator[None]:
        """A harness error in this block ends all walks; if the guest breaks, the error shows how."""
        try:
            yield
        except KconformError as error:
            self.over = True
            if isinstance(error, SetupFailed):
                error.add_note(f"the steps before it:\n\n{self.scenario()}")
            self.context.stop(error)
        except GuestBroke as error:
            self.over = self.context.found = True
            if not hasattr(error, "evidence"):
                error.evidence = {"scenario": self.scenario()}  # type: ignore[attr-defined]
                error.add_note(f"the shortest scenario that shows it:\n\n{self.scenario()}")
            raise

    # Steps

    @classmethod
    @cache
    def actions(cls) -> dict[str, Callable[..., None]]:
        found = {name: getattr(cls, name) for name in dir(cls) if name != "actions"}
        return {name: method for name, method in found.items() if hasattr(method, "weight")}

    def possible_steps(self) -> tuple[list[str], dict[str, dict[str, Any]]]:
        """The names of the actions that are possible now, as often as they weigh; and the choices for each."""
        open_to: dict[str, dict[str, Any]] = {}
        weighted: list[str] = []
        for name, method in self.actions().items():
            choices = {argument: of(self) for argument, of in method.arguments.items()}  # type: ignore[attr-defined]
            if all(isinstance(values, st.SearchStrategy) or values for values in choices.values()):
                open_to[name] = choices
                weighted += [name] * method.weight  # type: ignore[attr-defined]
        return weighted, open_to

    # One rule for all actions: of several rules, Hypothesis disables some in each walk.
    @rule(step=steps())
    def take_step(self, step: tuple[str, dict[str, Any]]) -> None:
        name, arguments = step
        getattr(self, name)(**arguments)

    def do(self, line: str, *, promise: str = "") -> None:
        """Execute a line that prepares: a statement, whose calls must succeed.

        `promise`: of a line that also compares something, which is a difference if it fails.
        """
        self.lines.append(line)
        try:
            with self.harness_errors_stop():
                exec(compile(line, "<walk>", "exec"), self.names)  # noqa: S102 - the walk's own line
        except AssertionError as error:
            if not promise:
                raise
            self.differs(f"{line}: {error}", promise)

    def value(self, expression: str) -> Any:
        """The value of an expression, which does not become a line of the scenario."""
        with self.harness_errors_stop():
            return eval(compile(expression, "<walk>", "eval"), self.names)  # noqa: S307 - the walk's own expression

    def compare(self, call: str, prediction: Prediction, *, written: str = "") -> Outcome:
        """Make a call, whose outcome the model predicts.  `written`: the expectation in the scenario."""
        self.lines.append(f"assert {call} == {written or prediction}")
        outcome: Outcome = self.value(call)
        self.judge(outcome, prediction)
        return outcome

    def compare_value(self, expression: str, expected: object, promise: str, *, written: str = "") -> None:
        """Compare a value that is not an outcome.  `written`: the expectation in the scenario."""
        self.lines.append(f"assert {expression} == {written or repr(expected)}")
        if (value := self.value(expression)) != expected:
            self.differs(f"{expression} is {value!r}, expected {expected!r}", promise)

    def recheck(self, call: str, prediction: Prediction, seen: Outcome) -> None:
        """Make a call again that, among many others, had another outcome than the model predicts.

        If it now has the predicted one, and the model says that it may take time, nothing differs.
        """
        outcome: Outcome = self.value(call)
        if prediction.settles and prediction.expected != outcome:
            outcome = self._when_settled(call, prediction)
        if prediction.settles and prediction.expected == outcome:
            return
        self.lines.append(f"assert {call} == {prediction}")
        self.judge(outcome if prediction.expected != outcome else seen, prediction)

    def _when_settled(self, call: str, prediction: Prediction) -> Outcome:
        """The outcome of a call once it is the predicted one, or after it has not become that for long enough."""
        # While a difference is shrunk, each attempt would wait for the whole deadline.
        deadline_s = {"deadline_s": 2.0} if self.context.found else {}
        with contextlib.suppress(GuestBroke):
            self.guest.wait_until(lambda: prediction.expected == self.value(call), call, **deadline_s)
        self.over = False
        outcome: Outcome = self.value(call)
        return outcome

    def judge(self, outcome: Outcome, prediction: Prediction) -> None:
        """Raise WalkDifference unless the outcome is the predicted one."""
        if prediction.expected != outcome:
            self.differs(f"{outcome!r}, expected {prediction.expected!r}", prediction.promise)

    def differs(self, message: str, promise: str) -> NoReturn:
        """End the walk with a difference.  `promise`: the one from which the model's prediction follows."""
        self.over = self.context.found = True
        with breaks(promise):
            raise WalkDifference(message, self.scenario(promise))

    # The scenario

    def scenario(self, promise: str = "AREA.PROMISE") -> str:
        """The steps so far as a test."""
        return as_test(self.lines, (*self.marks, f'requirement("{promise}")'), self._vocabulary)


def _named(name: str, module: str) -> Any:
    return getattr(importlib.import_module(module), name)
