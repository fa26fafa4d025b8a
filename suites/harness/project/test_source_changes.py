# SPDX-License-Identifier: GPL-2.0-or-later
"""From a change of a tree to lines of the map."""

from __future__ import annotations

from suites.coverage import source_changes
from suites.harness.project.line_map_sample import FILE, LINES, SOURCE


def changed(old: str, new: str, source: str = SOURCE) -> set[int]:
    """The lines of the map that an edit of a tree touches."""
    assert source.count(old) == 1
    return source_changes.changed_lines(LINES.files[FILE], source.splitlines(), source.replace(old, new).splitlines())


class TestChanges:
    def test_a_line_with_code_is_itself(self) -> None:
        assert changed("return -1;", "return -2;") == {7}

    def test_the_rest_of_a_statement_is_where_it_begins(self) -> None:
        assert changed("+ 1 +\n\t\t\t2);", "+ 1 +\n\t\t\t3);") == {13}

    def test_a_new_line_touches_those_around_it(self) -> None:
        assert changed("\t\treturn -1;\n", "\t\treturn -1;\n\tvalue++;\n") == {7, 8}

    def test_a_comment_touches_its_function(self) -> None:
        assert changed("Not more.", "No more.") == {3, 6, 7, 8, 9}

    def test_a_macro_touches_the_file(self) -> None:
        assert changed("LIMIT 3\n", "LIMIT 4\n") == set(LINES.files[FILE].lines)

    def test_lines_are_found_in_another_version(self) -> None:
        """Other lines came before and between them, so the numbers differ."""
        newer = "\n\n" + SOURCE.replace("\treturn value;\n", "\tlog();\n\treturn value;\n")
        assert changed("return -1;", "return -2;", newer) == {7}
        assert changed("value + 1 +", "value - 1 +", newer) == {13}

    def test_a_line_that_the_map_does_not_have_touches_its_function(self) -> None:
        newer = SOURCE.replace("\treturn value;\n", "\tlog();\n\treturn value;\n")
        assert changed("log();", "log(1);", newer) == {3, 6, 7, 8, 9}
