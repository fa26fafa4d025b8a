# SPDX-License-Identifier: GPL-2.0-or-later
"""A process keeps the templates that it has used lately, and the cache may evict the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from guests.vm import templates_in_use
from guests.vm.template import Template
from guests.vm.templates_in_use import TemplatesInUse
from kconfigs.cache import Cache
from suites.harness.guests import fakes


def test_the_one_that_was_not_used_for_longest_is_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates_in_use, "MOST", 2)
    store = Cache(tmp_path)
    in_use = TemplatesInUse(store)
    machine = fakes.machine(tmp_path)

    def add(key: str) -> None:
        path = store.get("templates", key, lambda folder: (folder / "ram").touch())
        in_use.add(key, Template(machine, path, key))

    add("a")
    add("b")
    assert in_use["a"].key == "a"
    add("c")
    assert [key for key in "abc" if key in in_use] == ["a", "c"]
    evicting = Cache(tmp_path, limit=0)
    monkeypatch.setattr("kconfigs.cache.KEEP_S", -1.0)
    evicting.get("disks", "new", lambda folder: (folder / "image").touch())
    assert [key for key in "abc" if store.has("templates", key)] == ["a", "c"]
