# SPDX-License-Identifier: GPL-2.0-or-later
"""What the terminal says at the end of a run.  Pure: results in, lines out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from reports.judgement.exit_status import BROKEN, MEANING
from reports.model.evidence import FOLDER, slug
from reports.model.requirements import Requirement
from reports.model.result import JSON, Result
from reports.run.environment import not_all

MOST = 20
"""Entries of a list before the rest is only counted; results.json has them all."""


@dataclass(frozen=True)
class Line:
    """A line, and how pytest's terminal shall mark it up."""

    text: str
    markup: Mapping[str, bool]


@dataclass(frozen=True)
class Summary:
    """Everything that the last section of a run is made of."""

    results: Sequence[Result]
    kernels: Mapping[str, Mapping[str, JSON]]
    requirements: Mapping[str, Requirement]
    report_dir: str
    """As a user would type it."""
    status: int
    problems: Sequence[str]
    """What went wrong with the report itself."""
    selection: str | None = None
    """What was chosen of the tests, if not all were to run."""
    baseline: Sequence[str] = ()
    """What changed against the baseline, if there is one."""
    resumed: Sequence[str] = ()
    """What is taken over from the run that this one went on with, if it did."""
    idle_waivers: Sequence[str] = ()
    """The waivers of promises that were kept."""

    def lines(self, *, verbosity: int = 0) -> list[Line]:
        """The section's lines: below 0 (-q) without the skip reasons, above 0 (-v) without limits."""
        most = MOST if verbosity <= 0 else len(self.results) or 1
        lines = [*self._broken(most), *self._errors(most), *self._unexpected(most)]
        if verbosity >= 0:
            lines += self._counted("waived", "waived:", most)
            lines += self._counted("skip", "not applicable:", most)
        lines += [_line(text) for text in self.baseline]
        lines += [_line(text) for text in self.resumed]
        lines += [*self.chosen(), *self.totals()]
        lines += [_line(f"REPORT NOT COMPLETE: {problem}", red=True, bold=True) for problem in self.problems]
        lines.append(_line(f"report: {self.report_dir}"))
        color = "green" if self.status == 0 else "red" if self.status == 1 else "yellow"
        lines.append(_line(f"exit status {self.status}: {self._meaning()}", bold=True, **{color: True}))
        return lines

    def _meaning(self) -> str:
        if self.status == BROKEN and not any(result.outcome == "fail" for result in self.results):
            return "a waiver is not needed (--strict-waivers)"
        return MEANING[self.status]

    def _broken(self, most: int) -> list[Line]:
        broken = [result for result in self.results if result.outcome == "fail"]
        if not broken:
            return []
        lines = [_line("broken promises:", red=True, bold=True)]
        for result in broken[:most]:
            for identifier in result.requirements:
                sentence = self.requirements[identifier].text if identifier in self.requirements else "?"
                lines.append(_line(f"  {identifier}: {sentence}", red=True))
            lines.append(_line(f"    {result.nodeid}"))
            lines.append(_line(f"      {result.reason}"))
            if result.evidence:
                lines.append(_line(f"      evidence: {self.report_dir}/{FOLDER}/{slug(result.nodeid)}/"))
        return lines + _rest(broken, most)

    def _errors(self, most: int) -> list[Line]:
        """Grouped by what happened: one kernel that does not boot is one error, not one for each test."""
        errors = [result for result in self.results if result.outcome == "error"]
        if not errors:
            return []
        groups = _grouped(errors, lambda result: result.reason)
        lines = [_line("errors of ours, which say nothing about a kernel:", yellow=True, bold=True)]
        for reason, group in groups[:most]:
            count = "" if len(group) == 1 else f" and {len(group) - 1} more"
            lines += [_line(f"  {reason}"), _line(f"    {group[0].nodeid}{count}")]
            if group[0].evidence:
                lines.append(_line(f"    evidence: {self.report_dir}/{FOLDER}/{slug(group[0].nodeid)}/"))
        return lines + _rest(groups, most)

    def _unexpected(self, most: int) -> list[Line]:
        passed = [result for result in self.results if result.outcome == "unexpected-pass"]
        if not (passed or self.idle_waivers):
            return []
        lines = [_line("waivers that are not needed:", yellow=True, bold=True)]
        lines += [_line(f"  {result.nodeid} {result.reason}") for result in passed[:most]]
        lines += [_line(f"  {waiver}") for waiver in self.idle_waivers]
        return lines + _rest(passed, most)

    def _counted(self, outcome: str, title: str, most: int) -> list[Line]:
        """The reasons of an outcome, each with the number of its tests, the most frequent first."""
        found = [result for result in self.results if result.outcome == outcome]
        if not found:
            return []
        groups = sorted(_grouped(found, lambda result: result.reason), key=lambda group: -len(group[1]))
        lines = [_line(title)]
        lines += [_line(f"  {len(group):5}  {reason}") for reason, group in groups[:most]]
        return lines + _rest(groups, most)

    def chosen(self) -> list[Line]:
        """That this was a part of the tests, if it was."""
        return [_line(text) for text in not_all(self.selection)]

    def totals(self) -> list[Line]:
        """One line for each kernel, in the order in which they were tested, then one for tests without."""
        counts: dict[str | None, Counter[str]] = {name: Counter() for name in self.kernels}
        for result in self.results:
            counts.setdefault(result.kernel, Counter())[result.outcome] += 1
        without = counts.pop(None, None)
        lines = [_total(self._title(str(name)), counted) for name, counted in counts.items()]
        # No test's own fault, and yet a gate's business.
        lines += [
            _line(f"{name} complained while it booted: {kernel['boot_complaint']}", yellow=True)
            for name, kernel in self.kernels.items()
            if kernel.get("boot_complaint")
        ]
        return lines + ([_total("without a kernel", without)] if without else [])

    def _title(self, name: str) -> str:
        kernel = self.kernels.get(name, {})
        details = ", ".join(str(kernel[key]) for key in ("release", "accel") if kernel.get(key))
        return f"{name} ({details})" if details else name


def _total(title: str, counted: Counter[str]) -> Line:
    text = (
        f"{title}: {counted['pass']} held, {counted['fail']} broken, "
        f"{counted['skip']} not applicable, {counted['error']} errors"
    )
    # Only where there are any: most kernels need no waiver.
    for outcome, words in (("waived", "waived"), ("unexpected-pass", "passed though waived")):
        text += f", {counted[outcome]} {words}" if counted[outcome] else ""
    color = "red" if counted["fail"] else "yellow" if counted["error"] or not counted["pass"] else "green"
    return _line(text, **{color: True})


def _grouped(results: Iterable[Result], key: Callable[[Result], str]) -> list[tuple[str, list[Result]]]:
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        groups[key(result)].append(result)
    return list(groups.items())


def _rest(entries: Sequence[object], most: int) -> list[Line]:
    return [_line(f"  ... and {len(entries) - most} more, see results.json")] if len(entries) > most else []


def _line(text: str, **markup: bool) -> Line:
    return Line(text, markup)
