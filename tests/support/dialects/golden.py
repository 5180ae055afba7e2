"""The golden cases of the dialects: one JSON file per case, below tests/fixtures/dialects/DIALECT/KIND/."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2] / "fixtures" / "dialects"
DIALECTS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama", "bedrock")
KINDS = ("requests", "responses", "streams", "errors")


def load(dialect: str, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and the contents of the cases of one kind, sorted by name."""
    return [(path.stem, json.loads(path.read_text("utf-8"))) for path in sorted((ROOT / dialect / kind).glob("*.json"))]


def wire_of(case: dict[str, Any]) -> bytes:
    """Return the bytes of a stream."""
    return "".join(case["wire"]).encode()
