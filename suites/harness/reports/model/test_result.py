# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of a result."""

from __future__ import annotations

from reports.model.result import clean, clean_text


def test_text_from_a_console_can_be_encoded() -> None:
    assert clean_text("ok \udcff") == "ok \\udcff"
    assert clean({"version": (6, 12), "name": "\udc80"}) == {"version": [6, 12], "name": "\\udc80"}
