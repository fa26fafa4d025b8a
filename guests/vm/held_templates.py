# SPDX-License-Identifier: GPL-2.0-or-later
"""The templates that a process holds in the cache: the latest ones.

The cache evicts nothing that is held.  A run of many kernels has hundreds of templates; if it held them all, those of
the first kernels would stay, and what has to be compiled again would be evicted instead.
"""

from __future__ import annotations

from collections.abc import Hashable

from guests.vm.template import Template
from kconfigs.cache import Cache

MOST = 48
"""More than the boots that the tests of one kernel need."""


class HeldTemplates:
    """By keys of whoever holds them."""

    def __init__(self, store: Cache) -> None:
        self._store = store
        self._held: dict[Hashable, Template] = {}
        """The one that was used last comes last."""

    def __contains__(self, key: Hashable) -> bool:
        return key in self._held

    def __getitem__(self, key: Hashable) -> Template:
        self._held[key] = self._held.pop(key)
        return self._held[key]

    def add(self, key: Hashable, template: Template) -> None:
        """Hold it; and release the one that has not been used for longest, if there are too many."""
        self._held[key] = template
        if len(self._held) > MOST:
            self._store.release(self._held.pop(next(iter(self._held))).directory)
