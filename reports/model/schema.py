# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON Schema of results.json, made from the records.

`python -m reports.model.schema > reports/results.schema.json` writes it; a test compares the two.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from reports.model.result import SCHEMA
from reports.model.run_record import ResultsFile

CLOSED = ("Result", "PromiseRecord", "RunRecord")
"""Records that have no other keys in a file of this version.  Reading lets through what a later version may add."""


def schema() -> dict[str, Any]:
    """The schema, as JSON Schema 2020-12."""
    made = msgspec.json.schema(ResultsFile)
    definitions = made["$defs"]
    for name in CLOSED:
        definitions[name]["additionalProperties"] = False
    top = definitions.pop("ResultsFile")
    top["properties"]["schema"] = {"const": SCHEMA}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"kconform results.json, version {SCHEMA}",
        **{key: value for key, value in top.items() if key != "title"},
        "additionalProperties": False,
        "$defs": definitions,
    }


def render() -> str:
    """The schema as the file has it."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(render(), end="")
