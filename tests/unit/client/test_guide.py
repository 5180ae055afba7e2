"""The examples of the Python client guide run unchanged."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = re.findall(
    r"^```python\n(.*?)^```",
    (Path(__file__).parents[3] / "docs" / "guides" / "python-client.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_runs(example: str, gateway: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTELLIROUTER_BASE_URL", gateway.url)
    record = {"request_id": "r", "started_us": 1, "endpoint": "/", "tenant": "t", "status": 200, "duration_ms": 1.0}
    decision = {"model": "m", "strategy": "s", "reason": "r", "order": [], "pool_size": 0, "candidates": []}
    whole = scripted.Reply(body=json.dumps(scripted.completion("Rhine.")).encode())
    stream = scripted.Reply(chunks=[scripted.sse(scripted.piece("Once.", "stop"), "[DONE]")])
    gateway.on("/v1/chat/completions", *([whole] if ".chat(" in example else []), stream)
    if "no-such-model" in example:
        gateway.on_json("/v1/chat/completions", {"error": {"message": "no such model"}}, 404)
    gateway.on_json("/api/v1/health", {"status": "healthy"})
    gateway.on_json("/api/v1/models", {"models": [{"name": "auto"}]})
    gateway.on_json("/api/v1/explain", {"model": "m", "decision": decision})
    gateway.on_json("/api/v1/requests", {"requests": [record], "next": None})
    gateway.on_json("/api/v1/requests/r", record)
    gateway.on_json("/v1/embeddings", {"data": [{"index": 0, "embedding": [0.5]}]})
    exec(compile(example, "python-client.md", "exec"), {})
    assert gateway.requests


def test_the_guide_has_examples() -> None:
    assert len(EXAMPLES) >= 5
