# SPDX-License-Identifier: GPL-2.0-or-later
"""The search finds the first bad version, wherever it is, and judges none twice."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from suites.bisection.version_search import Narrowed, Verdict, search


@given(st.data())
def test_the_first_bad_one_is_found(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 40))
    first_bad = data.draw(st.integers(1, count - 1))
    unknown = data.draw(st.sets(st.integers(1, count - 2))) if count > 2 else set()
    judged: list[int] = []

    def judge(number: int) -> Verdict:
        assert 0 < number < count - 1
        assert number not in judged
        judged.append(number)
        return "unknown" if number in unknown else "bad" if number >= first_bad else "good"

    found = search(count, judge)
    assert found.good < first_bad <= found.bad
    assert found.good not in unknown
    assert found.bad not in unknown
    assert set(found.between) <= unknown
    if not unknown:
        assert found == Narrowed(first_bad - 1, first_bad)
        assert len(judged) <= math.ceil(math.log2(count))
