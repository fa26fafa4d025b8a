# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON Schema of results.json, made from the records.

`python -m reports.model.schema > reports/results.schema.json` writes it; a test compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from reports.model.result import SCHEMA
from reports.model.run_record import ResultsFile

CLOSED = ("Result", "PromiseRecord", "RunRecord")
"""Records that have no other keys in a file of this version.  Reading lets through what a later version may add."""


def schema() -> dict[str, Any]:
    """The schema, as JSON Schema 2020-12."""
    return schema_of(ResultsFile, "results.json", SCHEMA, CLOSED)


def schema_of(
    record: type[msgspec.Struct], file: str, version: int, closed: Collection[str] | None = None
) -> dict[str, Any]:
    """The schema of a file that is one record.  `closed` names records within it that have no other keys, all by
    default; the file itself never has."""
    made = msgspec.json.schema(record)
    definitions = made["$defs"]
    top = definitions.pop(record.__name__)
    for name in definitions if closed is None else closed:
        definitions[name]["additionalProperties"] = False
    top["properties"]["schema"] = {"const": version}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"kconform {file}, version {version}",
        **{key: value for key, value in top.items() if key != "title"},
        "additionalProperties": False,
        "$defs": definitions,
    }


def render(made: Mapping[str, Any]) -> str:
    """A schema as its file has it."""
    return json.dumps(made, indent=2) + "\n"


if __name__ == "__main__":
    print(render(schema()), end="")
