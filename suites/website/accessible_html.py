# SPDX-License-Identifier: GPL-2.0-or-later
"""What Sphinx and its theme leave out of a page, and people who use a keyboard or a screen reader need.

`tox -e accessibility` finds it, and finds more should they change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from common.errors import KconformError

ADDED: Mapping[str, str] = {
    # A heading has a level.
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    # The two sides of a page are told apart.
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="On this page">',
    # What is wider than the window is scrolled with the keyboard, too.
    '<div class="highlight"><pre>': '<div class="highlight"><pre tabindex="0">',
    '<div class="table-wrapper colwidths-auto docutils container">': (
        '<div class="table-wrapper colwidths-auto docutils container" tabindex="0">'
    ),
    # The page of the search has a heading only once something was searched for.
    '<div id="search-results">': '<h1>Search</h1><div id="search-results">',
}
"""What is found, and what is written instead."""
EMPTY_HEAD = re.compile(r'<th class="head">(?:<p></p>)?</th>')
"""The head of a column that needs none.  It is an empty cell: there is nothing to read out for each cell below."""


def amended(html: str) -> str:
    """The page with all of that."""
    for found, instead in ADDED.items():
        html = html.replace(found, instead)
    return EMPTY_HEAD.sub("<td></td>", html)


def amend(site: Path) -> None:
    """Amend all pages.  KconformError if something is on no page: it is written differently now."""
    missing = dict.fromkeys(ADDED)
    for path in sorted(site.rglob("*.html")):
        html = path.read_text(encoding="utf-8")
        for found in [each for each in missing if each in html]:
            del missing[found]
        path.write_text(amended(html), encoding="utf-8")
    if missing:
        raise KconformError(
            f"no page of the site has {next(iter(missing))}", hint="see suites/website/accessible_html.py"
        )
