# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be asked of this package on the command line: kernels, flavors, configs and the cache."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.commandline import output
from common.errors import UsageError
from common.paths import users_path
from common.text import printable
from common.versions import Version, dotted, parse_version
from kconfigs import boot_parameters, config_check, sysctl_settings, unfinished_config
from kconfigs import profile as profiles
from kconfigs.architectures import named_architecture
from kconfigs.build.build_progress import for_stderr
from kconfigs.cache import Cache
from kconfigs.config_changes import parse_changes
from kconfigs.config_check import Finding
from kconfigs.fetch import fetch
from kconfigs.flavors import DEFAULT, FLAVORS, flavor
from kconfigs.kconfig import Config, read_text
from kconfigs.profile import Profile
from kconfigs.resolve import resolve
from kconfigs.spec import parse


def add_commands(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the commands; each sets `run`, which takes the parsed options and returns an exit status or None."""
    build = subparsers.add_parser("build", help="build or fetch a kernel, and print its id and its image")
    build.add_argument(
        "spec", metavar="SPEC", help="as for pytest's --kernel: source, deb:PACKAGE, a tree, an image ..."
    )
    build.add_argument(
        "--flavor", action="append", metavar="NAME", help=f"a set of config options, repeatable (default: {DEFAULT})"
    )
    build.add_argument("--arch", metavar="NAME", help="build for this architecture, such as arm64")
    build.add_argument("--kernel-config", type=Path, metavar="FILE", help="the .config of an image")
    build.add_argument("--modules", type=Path, metavar="DIR", help="the modules of an image, if they are elsewhere")
    build.add_argument(
        "--config",
        action="append",
        metavar="CHANGE",
        default=[],
        help="a change of the config, repeatable: an option as in SECURITY_YAMA=n, or a file with such lines",
    )
    build.add_argument(
        "--allow-dropped",
        action="store_true",
        help="with --flavor=mine or --config: build although Kconfig drops some options that no NAME=VALUE asks for",
    )
    build.set_defaults(run=_build)

    subparsers.add_parser("flavors", help="list the flavors").set_defaults(run=_flavors)

    fragment = subparsers.add_parser("fragment", help="print the options of a flavor, and the reason of each")
    fragment.add_argument("name", metavar="FLAVOR")
    fragment.set_defaults(run=_fragment)

    check = subparsers.add_parser(
        "check",
        help="compare a config with a profile, without a boot",
        description="Compare configs with a profile, without a boot.  Exit status: 0 they have what the profile asks "
        "for; 1 one of them lacks something; 4 wrong use, or one could not be judged.",
    )
    check.add_argument("configs", nargs="+", type=Path, metavar="CONFIG", help="a .config, or a folder of them")
    check.add_argument(
        "--profile", required=True, metavar="NAME", help=f"{', '.join(profiles.shipped())}, or a TOML file"
    )
    check.add_argument(
        "--cmdline",
        metavar="FILE",
        help="what the boot loader passes to the kernel, as in /proc/cmdline; - is standard input",
    )
    check.add_argument(
        "--sysctl",
        action="append",
        metavar="DIR",
        help="a sysctl.d folder of the system, or a file of settings, repeatable; of two files with the same name,"
        " that in the folder which is given first counts",
    )
    check.add_argument("-v", "--verbose", action="store_true", help="also print what is correct")
    check.set_defaults(run=_check)

    cache = subparsers.add_parser("cache", help="list or clear the cache")
    actions = cache.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="list the entries, least recently used first").set_defaults(run=_cache_list)
    clear = actions.add_parser("clear", help="remove the entries that no process uses")
    clear.add_argument("kind", nargs="?", metavar="KIND", help="only this kind: kernels, source, packages ...")
    clear.set_defaults(run=_cache_clear)


# Kernels and flavors


def _build(options: argparse.Namespace) -> None:
    with for_stderr() as progress:
        changes = parse_changes(options.config)
        source = resolve(
            parse(options.spec),
            kernel_config=options.kernel_config,
            modules=options.modules,
            arch=named_architecture(options.arch) if options.arch else "",
        )
        if options.arch and not source.builds:
            raise UsageError(
                f"{printable(options.spec)} is not built, and has the architecture that it has",
                hint="leave out --arch",
            )
        if changes and not source.builds:
            raise UsageError(
                f"{printable(options.spec)} is not built, so its config cannot be changed", hint="leave out --config"
            )
        source = replace(source, allow_dropped=options.allow_dropped, changes=changes)
        chosen = options.flavor or [DEFAULT]
        for name in chosen if source.builds else chosen[:1]:
            kernel = fetch(source, flavor(name).name, progress)
            output(f"{kernel.id}\t{kernel.image}")


def _flavors(_: argparse.Namespace) -> None:
    width = max(map(len, FLAVORS))
    output("\n".join(f"{name:<{width}}  {chosen.sentence}" for name, chosen in FLAVORS.items()))


def _fragment(options: argparse.Namespace) -> None:
    asked = flavor(options.name).asked().values()
    output("\n".join(f"{f'CONFIG_{one.name}={one.value}':<44}# {one.reason} ({one.where})" for one in asked))


# Configs


def _check(options: argparse.Namespace) -> int:
    """0 if no config lacks anything, 1 if one does, 4 if one is not complete or not the profile's, so cannot tell."""
    profile = profiles.load(options.profile)
    boot = boot_parameters.read(options.cmdline) if options.cmdline is not None else None
    settings = sysctl_settings.read(options.sysctl) if options.sysctl else None
    remarks = [*(boot.remarks if boot else ()), *(settings.remarks if settings else ())]
    lines = [f"warning: {remark}" for remark in remarks]
    lacking = unknown = False
    for path in _configs(options.configs):
        text, config, version = _read_config(path)
        if excluded := profile.excludes(version):
            lines.append(f"{printable(path)} ({dotted(version)}): not checked, because {excluded}")
            unknown = True
            continue
        findings = config_check.check(profile, config, version, boot, settings)
        note: tuple[str, ...] = ()
        if unfinished_config.is_unfinished(text):
            guessed, findings = findings, unfinished_config.without_guesses(findings, text)
            note = unfinished_config.NOTE if guessed != findings else ()
        lines += _report(path, version, profile, findings, note, verbose=options.verbose)
        lacking = lacking or any(finding.state == "missing" for finding in findings)
        unknown = unknown or bool(note)
    output("\n".join(lines))
    return 1 if lacking else UsageError.exit_status if unknown else 0


_COUNTED = {"ok": "ok", "missing": "missing", "warning": "warned about", "open": "for a run to prove"}
_RELEASE = re.compile(r"^# Linux/\S+ (\d+(?:\.\d+)+)", re.MULTILINE)


def _report(
    path: Path, version: Version, profile: Profile, findings: list[Finding], note: tuple[str, ...], *, verbose: bool
) -> Iterator[str]:
    states = [finding.state for finding in findings]
    counts = [f"{states.count(state)} {word}" for state, word in _COUNTED.items() if state in states]
    release = dotted(version) or "of an unknown version"
    yield f"{printable(path)} ({release}), profile {profile.name}: " + ", ".join(counts or ["nothing is asked for"])
    for number, line in enumerate(note):
        yield f"           {line}" if number else f"  warning  {line}"
    for finding in findings:
        if finding.state != "ok" or verbose:
            yield f"  {finding.state.upper() if finding.state == 'missing' else finding.state:<8} {finding.text}"
            yield from (f"           {reason}" for reason in finding.reasons)


def _configs(paths: list[Path]) -> Iterator[Path]:
    """The files that were named, and those in the folders that were named."""
    for path in map(users_path, paths):
        if path.is_dir():
            try:
                inside = sorted(each for each in path.iterdir() if "config" in each.name and each.is_file())
            except OSError as error:
                raise UsageError(
                    f"{printable(path)} cannot be read: {error.strerror}", hint="name the files in it"
                ) from error
            if not inside:
                raise UsageError(
                    f"{printable(path)}: no file in this folder has 'config' in its name",
                    hint="name the configs themselves",
                )
            yield from inside
        else:
            yield path


def _read_config(path: Path) -> tuple[str, Config, Version]:
    """A .config, compressed by gzip or not, as text and as values, and the version in its heading.

    UsageError if it is not one.
    """
    try:
        text = read_text(path)
    except OSError as error:
        raise UsageError(
            f"{printable(path)} cannot be read: {error.strerror}", hint="name a .config, or a folder of them"
        ) from error
    config = Config.parse(text)
    if not config:
        raise UsageError(f"{printable(path)} is not a kernel configuration: no line of it is CONFIG_...=...")
    found = _RELEASE.search(text)
    return text, config, parse_version(found[1]) if found else ()


# The cache


def _cache_list(_: argparse.Namespace) -> None:
    cache = Cache()
    entries = cache.entries()
    lines = [
        f"{_mib(entry.size)}  {(time.time() - entry.used) / 3600:7.1f} h ago  {entry.kind}/{entry.key}"
        for entry in entries
    ]
    total = _mib(sum(entry.size for entry in entries))
    output("\n".join([*lines, f"{total}  of {_mib(cache.limit).strip()} in {printable(cache.root)}"]))


def _cache_clear(options: argparse.Namespace) -> None:
    removed = Cache().clear(options.kind)
    output(f"removed {len(removed)} entries, {_mib(sum(entry.size for entry in removed)).strip()}")


def _mib(size: int) -> str:
    return f"{size / (1 << 20):9.1f} MiB"
