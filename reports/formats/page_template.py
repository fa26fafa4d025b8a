# SPDX-License-Identifier: GPL-2.0-or-later
"""A page that needs no network, no server and no other file: data, and scripts that draw it, from `templates`.

Whatever a kernel, a test's name or a path says reaches the page as JSON, and the scripts insert it as text, never as
HTML.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from common.text import printable

SHARED_SCRIPTS = ("address.js", "controls.js", "grid_keys.js", "panel.js")
"""What every page has, after its own state."""

_TEMPLATES = Path(__file__).parents[1] / "templates"

_HTML_SAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
"""Inside a JSON string these mean the same, and HTML finds no `</script>` or `<!--` in it."""


def render_page(title: str, data: Any, *, state: str, scripts: Iterable[str], instead: str) -> str:
    """The page.  `state` names the script with what it can show, `scripts` those that draw it.

    `instead` is HTML of ours: what to read where scripts are disabled.
    """
    script = "".join(map(_template, ("elements.js", state, *SHARED_SCRIPTS, *scripts)))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(_template("index.html")).substitute(
        title=escape(printable(title)),
        # Only this script may run, and nothing may be fetched: should an escape be forgotten, it does no harm.
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'",
        style=_template("index.css"),
        instead=instead,
        data=_json(data),
        script=script,
    )


def _json(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"))
    for char, code in _HTML_SAFE.items():
        text = text.replace(char, code)
    return text


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
