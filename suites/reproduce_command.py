# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform reproduce`: build a reproducer, and run it as root in a guest of the kernel that it was made from.

    kconform reproduce reports/out/latest/evidence/TEST/reproducer.c
    kconform reproduce reports/out/latest                                    all that this run has made
    kconform reproduce TEST/reproducer.c --kernel=path/to/linux              does another kernel keep the promise?

Exit status: 0 if the kernel keeps all promises, 1 if it breaks one, 3 if that could not be found out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from common.commandline import Parser, output, say
from common.errors import KconformError, UsageError
from common.text import printable
from guests.reproducer import guest_trial
from guests.vm.boot_request import DEFAULT_BOOT, Boot
from guests.vm.clone_pool import Pool
from kconfigs.build.build_progress import for_stderr
from kconfigs.cache import Cache
from kconfigs.fetch import fetch
from kconfigs.kernel import Kernel
from kconfigs.resolve import resolve
from kconfigs.spec import parse
from reports.judgement.exit_status import BROKEN, HELD, UNDETERMINED
from reports.model.document import load
from reports.model.evidence import file_name
from reports.model.report_directory import EVIDENCE, RESULTS
from reports.model.result import KernelRecord
from suites.reproducers import BOOT

NAME = "reproducer.c"
_LARGEST = 8 << 20
"""Maximum size of a reproducer in bytes."""
_STATUS = {guest_trial.PROMISE_KEPT: HELD, guest_trial.PROMISE_BROKEN: BROKEN}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(prog="kconform reproduce", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("path", type=Path, help=f"a {NAME}, the evidence of a test, or a report directory")
    parser.add_argument("--kernel", metavar="SPEC", help="another kernel than the one that was tested")
    parser.add_argument("--flavor", metavar="NAME", help="with --kernel: the flavor of a kernel that is built")
    parser.add_argument("--accel", choices=("auto", "kvm", "tcg"), default="auto", help="default: auto")
    options = parser.parse_args(arguments)
    try:
        return _reproduce(options.path, options.kernel, options.flavor, options.accel)
    except KconformError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_status


def _reproduce(path: Path, spec: str | None, flavor: str | None, accel: str) -> int:
    pool = Pool(Cache(), mode=accel)
    statuses = []
    try:
        for source in _sources(path):
            text, boot = _read(source), _boot(source)
            kernel = _kernel(source, spec, flavor)
            done = guest_trial.run(lambda: pool.take(kernel, boot), guest_trial.build(text, kernel.arch))  # noqa: B023
            output(f"{printable(source)} on {kernel.id} ({kernel.release}):\n{printable_lines(str(done))}")
            statuses.append(_STATUS.get(done.status if done.status is not None else -1, UNDETERMINED))
    finally:
        pool.close()
    return next((status for status in (BROKEN, UNDETERMINED) if status in statuses), HELD)


def printable_lines(text: str) -> str:
    """What a guest has printed, as it may be shown."""
    return "\n".join(f"  {printable(line)}" for line in text.splitlines())


def _sources(path: Path) -> list[Path]:
    """The reproducers at a path.  UsageError if there is none."""
    if path.is_file():
        return [path]
    found = sorted({*path.glob(NAME), *path.glob(f"{EVIDENCE}/*/{NAME}")})
    if not found:
        raise UsageError(
            f"{printable(path)} has no {NAME}",
            hint="the evidence of a test says why it has none; --reproducers chooses the tests that get one",
        )
    return found


def _read(source: Path) -> str:
    try:
        if source.stat().st_size > _LARGEST:
            raise UsageError(f"{printable(source)} is too large for a reproducer")
        return source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{printable(source)} cannot be read: {error}") from error


def _boot(source: Path) -> Boot:
    """The boot that the test asked for, which is beside its reproducer."""
    described = source.with_name(file_name(BOOT))
    if not described.exists():
        return DEFAULT_BOOT
    try:
        return msgspec.json.decode(described.read_bytes(), type=Boot)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"{printable(described)} does not describe a boot: {printable(str(error))}") from error


def _kernel(source: Path, spec: str | None, flavor: str | None) -> Kernel:
    """The kernel that is asked for, or else the one of the report that the reproducer is in."""
    record = None if spec else _recorded(source)
    with for_stderr() as progress:
        if spec:
            return fetch(resolve(parse(spec)), flavor, progress)
        assert record is not None
        built = record.flavor if record.flavor != "shipped" else None
        kernel = fetch(resolve(parse(str(record.spec)), arch=record.arch or ""), built, progress)
    if record.digest and kernel.digest != record.digest:
        say(f"remark: {record.spec} is no longer the kernel that was tested")
    return kernel


def _recorded(source: Path) -> KernelRecord:
    folder = source.absolute().parent
    results = folder.parent.parent / RESULTS
    if not results.is_file():
        raise UsageError(f"{printable(source)} is not in a report", hint="name a kernel with --kernel")
    document = load(results)
    for result in document.results:
        if any((document.directory / path).parent == folder for path in result.evidence.values()):
            kernel = document.kernels.get(result.kernel or "")
            if kernel is not None and kernel.spec:
                return kernel
    raise UsageError(f"{printable(results)} does not say which kernel this is about", hint="name it with --kernel")
