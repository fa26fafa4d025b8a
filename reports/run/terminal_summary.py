# SPDX-License-Identifier: GPL-2.0-or-later
"""What the terminal says at the end of a run: results in, lines out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from reports.judgement.exit_status import meaning
from reports.judgement.waivers import without_own_reason
from reports.model.display import one_line
from reports.model.evidence import slug
from reports.model.report_directory import EVIDENCE
from reports.model.requirements import Requirement
from reports.model.result import BROKE, KernelRecord, Preparation, Result, Verdict, not_run_remark
from reports.model.run_record import ShardRecord, partial_run_remark, shard_remark
from reports.run.progress import duration

SHOWN_FROM_S = 1.0
"""Steps of a kernel that took no longer than this are not shown."""

MOST = 20
"""Entries of a list before the others are only counted; results.json has them all."""


@dataclass(frozen=True)
class SummaryLine:
    """A line, and how pytest's terminal marks it up."""

    text: str
    markup: Mapping[str, bool]


@dataclass(frozen=True)
class Summary:
    """Everything that the last section of a run's output is made from."""

    results: Sequence[Result]
    kernels: Mapping[str, KernelRecord]
    requirements: Mapping[str, Requirement]
    report_dir: str | None
    """As a user would type it; None if the run has written no report."""
    status: int
    problems: Sequence[str]
    """What went wrong with the report itself."""
    messages: Sequence[str] = ()
    """Why workers have ended before any test."""
    selection: str | None = None
    """Which tests were chosen, if not all."""
    shard: ShardRecord | None = None
    """Which part of them, if not all."""
    collected: int = 0
    """How many tests were to run."""
    baseline: Sequence[str] = ()
    """What changed since the baseline, if there is one."""
    resumed: Sequence[str] = ()
    """What this run took over from the one that it continued, if it did."""
    idle_waivers: Sequence[str] = ()
    """The waivers of promises that were held."""

    def lines(self, *, verbosity: int = 0) -> list[SummaryLine]:
        """The section's lines: with -q (below 0) without the skip reasons, with -v (above 0) without limits."""
        most = MOST if verbosity <= 0 else len(self.results) or 1
        lines = [_line(text, red=True) for message in self.messages for text in f"ERROR: {message}".split("\n")]
        lines += self._seen_broken("fail", "broken promises:", most)
        lines += self._seen_broken("flaky", "flaky promises, broken in some attempts and not in others:", most)
        lines += [*self._errors(most), *self._unexpected(most)]
        if verbosity >= 0:
            lines += self._counted("waived", "waived:", most)
            lines += self._counted("skip", "not applicable:", most)
        lines += [_line(text) for text in self.baseline]
        lines += [_line(text) for text in self.resumed]
        lines += [*self.chosen(), *self.not_run(), *self.totals()]
        lines += [_line(f"REPORT NOT COMPLETE: {problem}", red=True, bold=True) for problem in self.problems]
        if self.report_dir is not None:
            lines.append(_line(f"report: {self.report_dir}"))
        color = "green" if self.status == 0 else "red" if self.status == 1 else "yellow"
        lines.append(_line(f"exit status {self.status}: {self._meaning()}", bold=True, **{color: True}))
        return lines

    def _meaning(self) -> str:
        return meaning(self.status, Counter(result.verdict for result in self.results))

    def _seen_broken(self, verdict: Verdict, title: str, most: int) -> list[SummaryLine]:
        broken = [result for result in self.results if result.verdict == verdict]
        if not broken:
            return []
        lines = [_line(title, red=True, bold=True)]
        for result in broken[:most]:
            for identifier in result.subjects:
                sentence = self.requirements[identifier].text if identifier in self.requirements else "?"
                lines.append(_line(f"  {identifier}: {sentence}", red=True))
            lines.append(_line(f"    {result.nodeid}"))
            lines.append(_line(f"      {result.reason}"))
            if result.evidence:
                lines.append(_line(f"      evidence: {self.report_dir}/{EVIDENCE}/{slug(result.nodeid)}/"))
        return lines + _rest(broken, most)

    def _errors(self, most: int) -> list[SummaryLine]:
        """By their reason: a kernel that does not boot is one error, not one for each test."""
        errors = [result for result in self.results if result.verdict == "error"]
        if not errors:
            return []
        groups = _grouped(errors, lambda result: result.reason)
        lines = [_line("errors, which say nothing about the kernel:", yellow=True, bold=True)]
        for reason, group in groups[:most]:
            count = "" if len(group) == 1 else f" and {len(group) - 1} more"
            lines += [_line(f"  {reason}"), _line(f"    {group[0].nodeid}{count}")]
            if group[0].evidence:
                lines.append(_line(f"    evidence: {self.report_dir}/{EVIDENCE}/{slug(group[0].nodeid)}/"))
        return lines + _rest(groups, most)

    def _unexpected(self, most: int) -> list[SummaryLine]:
        passed = [result for result in self.results if result.verdict == "unexpected-pass"]
        if not (passed or self.idle_waivers):
            return []
        lines = [_line("waivers that are not needed:", yellow=True, bold=True)]
        lines += [_line(f"  {result.nodeid} {result.reason}") for result in passed[:most]]
        lines += [_line(f"  {waiver}") for waiver in self.idle_waivers]
        return lines + _rest(passed, most)

    def _counted(self, verdict: Verdict, title: str, most: int) -> list[SummaryLine]:
        """The reasons of a verdict, each with the number of its tests, the most frequent first."""
        found = [result for result in self.results if result.verdict == verdict]
        if not found:
            return []
        reasons = _grouped(found, lambda result: without_own_reason(result.reason))
        groups = sorted(reasons, key=lambda group: -len(group[1]))
        lines = [_line(title)]
        lines += [_line(f"  {len(group):5}  {reason}") for reason, group in groups[:most]]
        return lines + _rest(groups, most)

    def chosen(self) -> list[SummaryLine]:
        """That not all tests were chosen, if so."""
        return [_line(text) for text in (*partial_run_remark(self.selection), *shard_remark(self.shard))]

    def not_run(self) -> list[SummaryLine]:
        """How many tests have no result: the run ended before, after -x, a signal, or too many dead workers."""
        found = not_run_remark(self.collected, self.results)
        return [_line(text, yellow=True, bold=True) for text in found]

    def totals(self) -> list[SummaryLine]:
        """One line for each kernel, in the order in which they were tested, then one for tests without a kernel."""
        counts: dict[str | None, Counter[Verdict]] = {name: Counter() for name in self.kernels}
        for result in self.results:
            counts.setdefault(result.kernel, Counter())[result.verdict] += 1
        without = counts.pop(None, None)
        lines = []
        for name, counted in counts.items():
            lines.append(_total(self._title(str(name)), counted))
            kernel = self.kernels.get(str(name))
            if kernel and kernel.preparation and (steps := _steps(kernel.preparation)):
                lines.append(_line(f"  besides its tests: {', '.join(steps)}"))
        # No test is to blame for it, but a gate must know.
        lines += [
            _line(f"{name} complained while it booted: {kernel.boot_complaint}", yellow=True)
            for name, kernel in self.kernels.items()
            if kernel.boot_complaint
        ]
        lines += [
            _line(f"{name}: {kernel.lost_options}", yellow=True)
            for name, kernel in self.kernels.items()
            if kernel.lost_options
        ]
        return lines + ([_total("without a kernel", without)] if without else [])

    def _title(self, name: str) -> str:
        kernel = self.kernels.get(name)
        known = (kernel.release, kernel.accel, kernel.target, kernel.machine_options) if kernel else ()
        details = ", ".join(filter(None, known))
        return f"{name} ({details})" if details else name


def _steps(took: Preparation) -> list[str]:
    """What a kernel took, in words."""
    boots = "booted" if took.boots == 1 else f"booted {took.boots} times"
    steps = (
        ("fetched", took.fetch_s),
        ("built", took.build_s),
        ("tried KVM", took.probe_s),
        (boots, took.boot_s),
    )
    return [f"{words} in {duration(seconds)}" for words, seconds in steps if seconds > SHOWN_FROM_S]


def _total(title: str, counted: Counter[Verdict]) -> SummaryLine:
    text = (
        f"{title}: {counted['pass']} held, {counted['fail']} broken, "
        f"{counted['skip']} not applicable, {counted['error']} errors"
    )
    # Only if there are any: most kernels need no waiver.
    extra: tuple[tuple[Verdict, str], ...] = (
        ("flaky", "flaky"),
        ("waived", "waived"),
        ("unexpected-pass", "passed though waived"),
    )
    for verdict, words in extra:
        text += f", {counted[verdict]} {words}" if counted[verdict] else ""
    seen_broken = any(counted[verdict] for verdict in BROKE)
    color = "red" if seen_broken else "yellow" if counted["error"] or not counted["pass"] else "green"
    return _line(text, **{color: True})


def _grouped(results: Iterable[Result], key: Callable[[Result], str]) -> list[tuple[str, list[Result]]]:
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        groups[key(result)].append(result)
    return list(groups.items())


def _rest(entries: Sequence[object], most: int) -> list[SummaryLine]:
    return [_line(f"  ... and {len(entries) - most} more, see results.json")] if len(entries) > most else []


def _line(text: str, **markup: bool) -> SummaryLine:
    # Reasons and names hold whatever a guest said.
    return SummaryLine(one_line(text), markup)
