"""Validators of OpenAI's published response schemas (github.com/openai/openai-openapi, MIT).

The schemas use `nullable` of an older standard, which is converted to the current one.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

SCHEMAS = Path(__file__).resolve().parents[2] / "fixtures" / "openai-response-schemas.json"


def _nullable(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _nullable(value) for name, value in schema.items() if name != "nullable"}
    return {"anyOf": [found, {"type": "null"}]} if schema.get("nullable") is True else found


@cache
def _components() -> Any:
    return _nullable(json.loads(SCHEMAS.read_text("utf-8"))["components"])


@cache
def validator(name: str) -> Any:
    return jsonschema_rs.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": _components()})
