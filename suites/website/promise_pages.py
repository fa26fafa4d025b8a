# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages that are generated, as Markdown:

    promises/index.md          the areas
    promises/yama/index.md     the promises of an area
    promises/yama/scope-1.md   a promise
    faults/yama.md             the mutants and bugs of an area

Texts of the specification are escaped; what they show is what was written.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from common.versions import VersionRange, dotted
from reports.formats.markdown_escape import code, text
from reports.model.result import STATUSES
from suites.mutation.mutant import Edit, Fix
from suites.website.promise_book import Fault, FaultKind, Promise, PromiseBook, PromiseFinding
from suites.website.site_markdown import (
    bullets,
    commit,
    contents,
    counted,
    fenced,
    kernel_source,
    link,
    page,
    prose,
    table,
)

NO_RUNS = "No results of a run were given to the build of this site."
KINDS: Mapping[FaultKind, tuple[str, str]] = {
    "mutant": ("Mutants", "Kernels with one small fault each, which breaks a promise."),
    "race": (
        "Races",
        "Kernels in which a lock, a barrier, a grace period or a reference is gone or narrower."
        " Most need several processors to show it.",
    ),
    "bug": ("Bugs of the past", "Bugs that the kernel once had, each brought back by undoing its fix."),
}


def generated(book: PromiseBook) -> dict[str, str]:
    """All generated pages: path and Markdown."""
    pages = {"promises/index.md": overview(book)}
    for area in book.areas:
        pages[f"promises/{area}/index.md"] = area_page(book, area)
        pages |= {path_of(each.requirement.id): promise_page(each, book) for each in book.of_area(area)}
    areas = dict.fromkeys(fault.area for fault in book.faults)
    return pages | {f"faults/{area}.md": faults_page(book, area) for area in areas}


def path_of(promise: str) -> str:
    area, _, name = promise.partition(".")
    # No promise is called `index`; its page would be the area's.
    return f"promises/{area}/{name}.md"


def overview(book: PromiseBook) -> str:
    rows = []
    for area in book.areas:
        promises = book.of_area(area)
        tests = {test.name for promise in promises for test in promise.tests}
        faults = [str(len(book.faults_of(area, kind))) for kind in KINDS]
        rows.append(
            [link(area, f"{area}/index.md"), str(len(promises)), str(len(tests)), *faults, _summary(promises)]
        )
    return page(
        "Promises",
        "Each promise of the kernel has a page: the sentence, its source, the tests that prove it, the faults that"
        " break it, and what it was on the kernels of the last runs. The pages are generated from the specification"
        " and the tests.",
        table(["area", "promises", "test functions", "mutants", "races", "bugs of the past", "on kernels"], rows),
        "## Runs",
        bullets(_runs(book)) or NO_RUNS,
        contents("", [f"{area}/index" for area in book.areas]),
    )


def _runs(book: PromiseBook) -> Iterator[str]:
    for run in book.runs:
        kernels = ", ".join(code(kernel) for kernel in run.kernels)
        partial = f", not all tests: {code(run.run.selection)}" if run.run.selection else ""
        yield f"{text(run.run.started[:10])}: {kernels or 'no kernel'} ({text(run.run.state)}{partial})"


def area_page(book: PromiseBook, area: str) -> str:
    promises = book.of_area(area)
    rows = [
        [
            link(code(each.requirement.id), path_of(each.requirement.id).rpartition("/")[2]),
            text(each.requirement.text),
            text(each.requirement.since),
            str(len(each.tests)),
            str(len(each.faults)),
            _summary([each]),
        ]
        for each in promises
    ]
    has_faults = any(fault.area == area for fault in book.faults)
    return page(
        f"Promises: {area}",
        f"{counted(len(promises), 'promise')}. {link('All areas', '../index.md')}"
        + (f" · {link('Mutants and bugs', f'../../faults/{area}.md')}" if has_faults else ""),
        table(["promise", "sentence", "since", "tests", "faults", "on kernels"], rows),
        contents("", [f"../../faults/{area}"]) if has_faults else "",
    )


def _summary(promises: Sequence[Promise]) -> str:
    counts = Counter(finding.status for promise in promises for finding in promise.findings)
    return ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status]) or "not run"


def promise_page(promise: Promise, book: PromiseBook) -> str:
    requirement = promise.requirement
    facts = [
        f"**Source:** {kernel_source(requirement.source)}",
        f"**Kernels:** {text(requirement.applicability)}",
    ]
    if requirement.remarks:
        facts.append(f"**Remarks:** {text(requirement.remarks)}")
    if requirement.successor:
        facts.append(f"**Then:** {_promise_link(requirement.successor)}")
    facts += [
        f"**Before:** {_promise_link(each.requirement.id)}"
        for each in book.promises.values()
        if each.requirement.successor == requirement.id
    ]
    return page(
        requirement.id,
        text(requirement.text),
        bullets(facts),
        f"{link('Promises', '../index.md')} · {link(requirement.area, 'index.md')}",
        "## On the last kernels",
        _findings(promise.findings) if book.runs else NO_RUNS,
        "## Tests that prove it",
        _tests(promise),
        "## Faults that break it",
        _faults(promise.faults),
        "## Known failures" if promise.waivers else "",
        bullets(
            f"{text(waiver.reason)} ({_versions(waiver.versions)}; excused until {waiver.expires})"
            for waiver in promise.waivers
        ),
        listed=False,
    )


def _versions(versions: VersionRange) -> str:
    """`Linux 6.13 to 7.1`."""
    ends = [dotted(end) if end else "" for end in (versions.since, versions.until)]
    if not any(ends):
        return "all versions"
    return "Linux " + (" to ".join(ends) if all(ends) else f"since {ends[0]}" if ends[0] else f"until {ends[1]}")


def _promise_link(identifier: str) -> str:
    return link(code(identifier), f"../../{path_of(identifier)}")


def _findings(findings: Sequence[PromiseFinding]) -> str:
    if not findings:
        return "No test of this promise was in a run that was given to the build of this site."
    rows = [
        [
            code(each.kernel.id),
            text(each.kernel.release or "unknown"),
            text(each.kernel.arch or "unknown"),
            f"**{each.status}**" if each.status in ("broken", "flaky") else each.status,
            text(each.run.run.started[:10]),
        ]
        for each in findings
    ]
    return table(["kernel", "release", "architecture", "the promise was", "run of"], rows)


def _tests(promise: Promise) -> str:
    rows = [
        [prose(test.docstring), code(test.name.removeprefix("suites/")), str(test.cases)] for test in promise.tests
    ]
    return table(["what it checks", "test", "cases"], rows) if rows else "None."


def _faults(faults: Sequence[Fault]) -> str:
    measured = [fault for fault in faults if fault.detected]
    others = [fault for fault in faults if not fault.detected]
    blocks = []
    if measured:
        blocks.append("These faults were built, and a test saw this promise broken:")
        rows = [[_fault_link(each), prose(each.mutant.text), code(_detector(each))] for each in measured]
        blocks.append(table(["fault", "what is wrong", "detected by"], rows))
    if others:
        by_file: dict[str, list[str]] = {}
        for each in others:
            by_file.setdefault(each.mutant.first, []).append(_fault_link(each))
        blocks.append(
            "No measurement of these faults was given to the build of this site. The tests that are run first on them"
            " are in a file that tests this promise, among others:"
        )
        blocks.append(bullets(f"{code(file)}: {', '.join(links)}" for file, links in by_file.items()))
    return "\n\n".join(blocks) or "None is known that a test of this promise is run first on."


def _fault_link(fault: Fault) -> str:
    return link(code(fault.mutant.id), f"#{fault.anchor}") + (" (bug of the past)" if fault.kind == "bug" else "")


def _detector(fault: Fault) -> str:
    return fault.result.by if fault.result else ""


def faults_page(book: PromiseBook, area: str) -> str:
    blocks = [f"See also {link(f'the promises of {area}', f'../promises/{area}/index.md')}."]
    for kind, (title, sentence) in KINDS.items():
        if faults := book.faults_of(area, kind):
            blocks += [f"## {title}", sentence, *map(_fault_section, faults)]
    return page(f"Mutants and bugs: {area}", *blocks)


def _fault_section(fault: Fault) -> str:
    mutant = fault.mutant
    facts = [f"**Result:** {_outcome(fault)}"]
    if mutant.fix:
        facts.append(f"**Fixed by:** {_fix(mutant.fix)}")
    if mutant.config:
        facts.append(f"**Needs:** {', '.join(map(code, mutant.config))}")
    edits = [f"In {kernel_source(edit.file)}:\n\n" + fenced("diff", "\n".join(_diff(edit))) for edit in mutant.edits]
    return "\n\n".join([f"({fault.anchor})=", f"### {code(mutant.id)}", prose(mutant.text), bullets(facts), *edits])


def _diff(edit: Edit) -> Iterator[str]:
    """The lines of an edit.  It replaces a part of a file, which need not begin or end with a line."""
    old, new = (part.strip("\n").split("\n") if part else [] for part in (edit.find, edit.replace))
    for line in list(difflib.unified_diff(old, new, lineterm="", n=len(old) + len(new)))[3:]:
        yield line.rstrip()


def _fix(fix: Fix) -> str:
    release = f"Linux {text(fix.release)}" if fix.release else ""
    where = ", ".join(filter(None, [commit(fix.commit) if fix.commit else "", release]))
    return text(fix.title) + (f" ({where})" if where else "") + ("" if fix.confirmed else ", unconfirmed")


def _outcome(fault: Fault) -> str:
    if fault.result is not None:
        return f"{text(fault.result.status)} {code(fault.result.by) if fault.result.by else ''}".strip()
    if fault.mutant.argued:
        return f"cannot be detected: {text(fault.mutant.argued)}"
    if fault.mutant.missing:
        return f"needs {text(fault.mutant.missing)}"
    return "not measured here"
