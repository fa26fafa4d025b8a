# SPDX-License-Identifier: GPL-2.0-or-later
"""KCIDB, validated by its own schema."""

from __future__ import annotations

import json

import kcidb_io

from reports.formats import kcidb
from suites.harness.reports.documents import FULL, NEXT, TIME, kernel, read, result
from suites.harness.reports.formats.format_samples import OUTCOMES, SAMPLE


class TestKcidb:
    def test_it_is_valid_by_kcidbs_own_schema(self) -> None:
        document = read(*SAMPLE, kernels=[kernel(FULL, arch="x86_64", identity="linux 6.12"), kernel(NEXT)])
        converted = json.loads(kcidb.render(document, "my_ci"))
        kcidb_io.schema.V5_3.validate(converted)
        assert len(converted["tests"]) == len([each for each in SAMPLE if each["kernel"]])
        assert (len(converted["checkouts"]), len(converted["builds"])) == (2, 2)
        for objects in ("checkouts", "builds", "tests"):
            identifiers = [each["id"] for each in converted[objects]]
            assert len(set(identifiers)) == len(identifiers)
            assert all(identifier.startswith("my_ci:") for identifier in identifiers)
        builds = {build["id"] for build in converted["builds"]}
        assert {test["build_id"] for test in converted["tests"]} == builds
        assert {build["checkout_id"] for build in converted["builds"]} == {
            each["id"] for each in converted["checkouts"]
        }

    def test_each_outcome_has_its_word(self) -> None:
        tests = kcidb.convert(read(*SAMPLE[: len(OUTCOMES)]))["tests"]
        assert [test["status"] for test in tests] == ["PASS", "FAIL", "ERROR", "SKIP", "FAIL", "PASS", "FAIL"]
        assert [test["misc"]["kconform"]["outcome"] for test in tests] == list(OUTCOMES)
        assert tests[4]["comment"].endswith("why waived")

    def test_flavors_of_one_source_share_its_checkout(self) -> None:
        flavors = [kernel(f"debian-6.12/{flavor}", identity="linux 6.12") for flavor in ("full", "no-yama")]
        converted = kcidb.convert(read(kernels=flavors))
        assert (len(converted["checkouts"]), len(converted["builds"])) == (1, 2)

    def test_a_kernel_that_was_not_built_is_left_out(self) -> None:
        """A build that failed is no build that passed, and its tests belong to none."""
        found = read(
            result("yama/x"), result("yama/x", "error", on=NEXT), kernels=[kernel(FULL), kernel(NEXT, digest=None)]
        )
        converted = kcidb.convert(found)
        assert [build["comment"] for build in converted["builds"]] == [FULL]
        assert [test["build_id"] for test in converted["tests"]] == [converted["builds"][0]["id"]]
        assert len(converted["checkouts"]) == 1

    def test_ids_are_the_same_when_written_again_and_others_for_another_run(self) -> None:
        def identifiers(*results: dict[str, object]) -> list[str]:
            return [test["id"] for test in kcidb.convert(read(*results, id="x"))["tests"]]

        assert identifiers(*SAMPLE) == identifiers(*SAMPLE)
        later = [each | {"started": TIME.replace("2026", "2027")} for each in SAMPLE]
        assert not set(identifiers(*SAMPLE)) & set(identifiers(*later))

    def test_an_excerpt_is_the_end_of_what_failed_and_bounded(self) -> None:
        (test,) = kcidb.convert(read(result("yama/x", "fail", longrepr="x" * 20_000 + "\0end")))["tests"]
        assert test["log_excerpt"].endswith("\\x00end")
        assert len(test["log_excerpt"]) == kcidb.EXCERPT_LIMIT
