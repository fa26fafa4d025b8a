# SPDX-License-Identifier: GPL-2.0-or-later
"""The boots that failed in this run: each is tried by one process, and its error is raised again in all of them."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from collections.abc import Hashable, Iterator
from pathlib import Path

from filelock import FileLock

from common import atomic
from guests.errors import BootCrashed, KconformError

_ANY = ""
"""Stands for all boots of a kernel."""


class FailedBoots:
    """`folder` is shared by the processes of a run; without one, every process finds out by itself."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known: dict[str, KconformError] = {}

    @contextlib.contextmanager
    def of(self, kernel: str, boot: Hashable, *, whole_kernel: bool = False) -> Iterator[None]:
        """Try a boot of a kernel, unless it has failed before; then raise that error instead.

        kernel: its digest.  whole_kernel: whether a failure means that no other boot of the kernel works either.
        """
        key = _digest(kernel, repr(boot))
        with self._alone(key):
            for known in (_digest(kernel, _ANY), key):
                if error := self._recall(known):
                    raise error.with_traceback(None)
            try:
                yield
            except BootCrashed as crashed:
                self._remember(kernel, key, crashed.reported(), whole_kernel)
                raise
            except KconformError as error:
                self._remember(kernel, key, error, whole_kernel)
                raise

    def _remember(self, kernel: str, key: str, error: KconformError, whole_kernel: bool) -> None:
        for each in {key, _digest(kernel, _ANY) if whole_kernel else key}:
            self._known[each] = error
            if self._folder is not None:
                atomic.write(self._folder / each, pickle.dumps(error))

    def _recall(self, key: str) -> KconformError | None:
        path = self._folder / key if self._folder is not None else None
        if key not in self._known and path is not None and path.exists():
            self._known[key] = pickle.loads(path.read_bytes())  # noqa: S301 - written by a process of this run
        return self._known.get(key)

    def _alone(self, key: str) -> contextlib.AbstractContextManager[object]:
        if self._folder is None:
            return contextlib.nullcontext()
        self._folder.mkdir(exist_ok=True)
        return FileLock(self._folder / f"{key}.lock")


def _digest(kernel: str, boot: str) -> str:
    return hashlib.sha256(f"{kernel}\0{boot}".encode()).hexdigest()[:32]
