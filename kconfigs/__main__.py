# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m kconfigs`: kernels, flavors and the cache, from the command line."""

from __future__ import annotations

import argparse
import gzip
import logging
import os
import re
import signal
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.errors import KconformError, UsageError
from common.paths import users_path
from kconfigs import profile as profiles
from kconfigs.arguments import Parser
from kconfigs.cache import Cache
from kconfigs.flavors import DEFAULT, FLAVORS, flavor
from kconfigs.fragments import Config, Version
from kconfigs.progress import Both, Progress, StatusFile, for_stderr
from kconfigs.spec import resolve

INTERRUPTED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 a config lacks something, 2 interrupted, 3 our error, 4 wrong use."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="kconform: %(message)s", stream=sys.stderr)
    # As an exception it lets go of locks and takes half-made things away.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return options.run(options) or 0
    except KconformError as error:
        print(f"kconform: error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("kconform: interrupted", file=sys.stderr)
        return INTERRUPTED


def _build(options: argparse.Namespace) -> None:
    status = StatusFile(options.status) if options.status else None
    try:
        with for_stderr() as shown:
            progress: Progress = Both(shown, status) if status else shown
            source = resolve(options.spec, kernel_config=options.kernel_config)
            chosen = options.flavor or [DEFAULT]
            for name in chosen if source.builds else chosen[:1]:
                kernel = source.kernel(flavor(name).name, progress)
                print(f"{kernel.id}\t{kernel.image}", flush=True)
    except KconformError as error:
        if status:
            status.failed(error)
        raise
    except BaseException as error:
        if status:
            status.failed(KconformError(f"the kernel build ended: {type(error).__name__} {error}".rstrip()))
        raise
    if status:
        status.done()


def _flavors(_: argparse.Namespace) -> None:
    width = max(map(len, FLAVORS))
    for name, chosen in FLAVORS.items():
        print(f"{name:<{width}}  {chosen.sentence}")


def _fragment(options: argparse.Namespace) -> None:
    for option in flavor(options.name).asked().values():
        print(f"{f'CONFIG_{option.name}={option.value}':<44}# {option.reason} ({option.where})")


def _check(options: argparse.Namespace) -> int:
    """0 where no config lacks anything, 1 where one does."""
    profile = profiles.load(options.profile)
    said: list[str] = []
    lacking = False
    for path in _configs(options.configs):
        config, version = _read_config(path)
        findings = profiles.check(profile, config, version)
        states = [finding.state for finding in findings]
        release = ".".join(map(str, version)) or "of an unknown version"
        said.append(f"{path} ({release}), profile {profile.name}: " + ", ".join(_counted(states)))
        for finding in findings:
            if finding.state != "ok" or options.verbose:
                said.append(f"  {_WORDS[finding.state]:<8} {finding.text}")
                said.append(f"           {finding.line.source} ({finding.line.where})")
        lacking = lacking or "missing" in states
    try:
        print("\n".join(said), flush=True)
    except OSError as error:
        # Python would try to write, and say so, again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `| head`: whoever reads has seen enough
            raise UsageError(f"standard output cannot be written: {error.strerror}") from error
    return 1 if lacking else 0


_WORDS = {"ok": "ok", "missing": "MISSING", "open": "open"}
_RELEASE = re.compile(r"^# Linux/\S+ (\d+(?:\.\d+)+)", re.MULTILINE)


def _counted(states: list[str]) -> list[str]:
    words = {"ok": "ok", "missing": "missing", "open": "for a run to prove"}
    return [f"{states.count(state)} {word}" for state, word in words.items() if state in states] or ["nothing asked"]


def _configs(paths: list[Path]) -> Iterator[Path]:
    """The files that were named, and those in the folders that were."""
    for path in map(users_path, paths):
        if path.is_dir():
            try:
                inside = sorted(each for each in path.iterdir() if "config" in each.name and each.is_file())
            except OSError as error:
                raise UsageError(f"{path} cannot be read: {error.strerror}", hint="name the files in it") from error
            if not inside:
                raise UsageError(
                    f"{path}: no file in this folder has 'config' in its name", hint="name the configs themselves"
                )
            yield from inside
        else:
            yield path


def _read_config(path: Path) -> tuple[Config, Version]:
    """A .config, which gzip may have packed, and the version that its head names.  UsageError where it is none."""
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode(errors="replace")
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}",
            hint="name a .config, or a folder of them",
        ) from error
    config = Config.parse(text)
    if not config:
        raise UsageError(f"{path} is no kernel configuration: no line of it is CONFIG_...=...")
    found = _RELEASE.search(text)
    return config, tuple(map(int, found[1].split("."))) if found else ()


def _cache_list(_: argparse.Namespace) -> None:
    cache = Cache()
    entries = cache.entries()
    for entry in entries:
        hours = (time.time() - entry.used) / 3600
        print(f"{_mib(entry.size)}  {hours:7.1f} h ago  {entry.kind}/{entry.key}")
    print(f"{_mib(sum(entry.size for entry in entries))}  of {_mib(cache.limit).strip()} in {cache.root}")


def _cache_clear(options: argparse.Namespace) -> None:
    removed = Cache().clear(options.kind)
    print(f"removed {len(removed)} entries, {_mib(sum(entry.size for entry in removed)).strip()}")


def _mib(size: int) -> str:
    return f"{size / (1 << 20):9.1f} MiB"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m kconfigs", description="Kernels to test, built or found.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="make a kernel ready, and print its id and image")
    build.add_argument(
        "spec", metavar="SPEC", help="as for pytest's --kernel: source, deb:PACKAGE, a tree, an image ..."
    )
    build.add_argument("--flavor", action="append", metavar="NAME", help=f"repeatable; default {DEFAULT}")
    build.add_argument("--kernel-config", type=Path, metavar="FILE", help="the .config of an image")
    build.add_argument("--status", type=Path, metavar="FILE", help="keep the state in this file, as JSON")
    build.set_defaults(run=_build)

    commands.add_parser("flavors", help="list the flavors").set_defaults(run=_flavors)

    fragment = commands.add_parser("fragment", help="print what a flavor asks for, and why")
    fragment.add_argument("name", metavar="FLAVOR")
    fragment.set_defaults(run=_fragment)

    check = commands.add_parser("check", help="tell whether a config has what a profile asks for, without a boot")
    check.add_argument("configs", nargs="+", type=Path, metavar="CONFIG", help="a .config, or a folder of them")
    check.add_argument(
        "--profile", required=True, metavar="P", help=f"{', '.join(profiles.shipped())}, or a TOML file"
    )
    check.add_argument("-v", "--verbose", action="store_true", help="what is there too")
    check.set_defaults(run=_check)

    cache = commands.add_parser("cache", help="look into the cache, or empty it")
    actions = cache.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="what is in it, least recently used first").set_defaults(run=_cache_list)
    clear = actions.add_parser("clear", help="remove what no other process uses")
    clear.add_argument("kind", nargs="?", metavar="KIND", help="only this kind: kernels, source, packages...")
    clear.set_defaults(run=_cache_clear)
    return parser


if __name__ == "__main__":
    sys.exit(main())
