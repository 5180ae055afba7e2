"""Loads golden fixtures: one JSON file a case, below tests/fixtures/dialects/DIALECT/KIND/."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2] / "fixtures" / "dialects"
DIALECTS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama", "bedrock")
KINDS = ("requests", "responses", "streams", "errors")


def load(dialect: str, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the cases of one kind, by name, in order."""
    return [(path.stem, json.loads(path.read_text("utf-8"))) for path in sorted((ROOT / dialect / kind).glob("*.json"))]


def wire_of(case: dict[str, Any]) -> bytes:
    """Return a stream case's exact bytes."""
    return "".join(case["wire"]).encode()
