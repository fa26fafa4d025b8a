# SPDX-License-Identifier: GPL-2.0-or-later
"""Each test has one name of its own, which all formats contain."""

from __future__ import annotations

import random
from urllib.parse import unquote

from reports.formats import kcidb, ktap
from reports.model.document import Document
from reports.model.names_of_tests import junit_name
from suites.harness.reports import ktap_reader
from suites.harness.reports.documents import TIME, read
from suites.harness.reports.formats.format_samples import SAMPLE


def names(document: Document) -> dict[str, list[str]]:
    """What each format calls the tests."""
    leaves = [leaf for top in ktap_reader.read(ktap.render(document)) for leaf in top.leaves()]
    tests = kcidb.convert(document)["tests"]
    return {
        "results.json": [each.nodeid for each in document.results],
        "KTAP": [unquote(leaf.name, errors="surrogatepass") for leaf in leaves],
        "KCIDB": [test["misc"]["kconform"]["nodeid"] for test in tests],
        "KCIDB paths": [f"{test['build_id']} {test['path']}" for test in tests],
        "JUnit": [" ".join(junit_name(each.nodeid)) for each in document.results],
    }


class TestNames:
    def test_they_are_unique_and_the_same_in_all_formats(self) -> None:
        found = names(read(*SAMPLE))
        for each in found.values():
            assert len(set(each)) == len(each)
        assert set(found["KTAP"]) == set(found["results.json"])
        assert set(found["KCIDB"]) == {each["nodeid"] for each in SAMPLE if each["kernel"]}

    def test_they_are_the_same_in_another_run(self) -> None:
        """A name contains neither the order of tests, nor times, nor outcomes."""
        other = [each | {"started": TIME.replace("2026", "2027"), "outcome": "pass"} for each in SAMPLE]
        random.Random(1).shuffle(other)  # noqa: S311
        one, two = names(read(*SAMPLE)), names(read(*other, id="another"))
        for form in one:
            assert set(one[form]) == set(two[form])
