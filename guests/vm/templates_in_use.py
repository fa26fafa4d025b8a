# SPDX-License-Identifier: GPL-2.0-or-later
"""The templates that a process keeps from being evicted from the cache: those that it used last.

The cache evicts nothing that a process uses.  A run of many kernels has hundreds of templates; if it kept them all,
those of the first kernels would stay, and what has to be compiled again would be evicted instead.
"""

from __future__ import annotations

from collections.abc import Hashable

from guests.vm.template import Template
from kconfigs.cache import Cache

MOST = 48
"""More than the boots that the tests of one kernel need."""


class TemplatesInUse:
    """By keys of whoever uses them."""

    def __init__(self, store: Cache) -> None:
        self._store = store
        self._templates: dict[Hashable, Template] = {}
        """The one that was used last comes last."""

    def __contains__(self, key: Hashable) -> bool:
        return key in self._templates

    def __getitem__(self, key: Hashable) -> Template:
        self._templates[key] = self._templates.pop(key)
        return self._templates[key]

    def add(self, key: Hashable, template: Template) -> None:
        """Keep it as well; and release the one that has not been used for longest, if there are too many."""
        self._templates[key] = template
        if len(self._templates) > MOST:
            self._store.release(self._templates.pop(next(iter(self._templates))).directory)
