"""Sends requests as clients do, and judges what they receive."""

import json
from dataclasses import dataclass
from typing import Any, Final

import httpx

_PATHS: Final = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}
_PADDING: Final = "one two three four five six seven eight nine ten eleven twelve"


@dataclass(frozen=True)
class Shape:
    """One kind of request."""

    dialect: str
    is_stream: bool

    @property
    def title(self) -> str:
        return f"{self.dialect}, {'stream' if self.is_stream else 'complete'}"


SHAPES: Final = tuple(Shape(dialect, is_stream) for dialect in _PATHS for is_stream in (False, True))


@dataclass(frozen=True)
class Verdict:
    """`outcome` is `ok`, `error` (reported as such), `truncated`, `duplicated` or `wrong` (all three silently)."""

    outcome: str
    seconds: float
    attempts: int
    detail: str = ""


async def ask(
    client: httpx.AsyncClient, model: str, shape: Shape, number: int, upstream_model: str | None = None
) -> Verdict:
    """Send one request with a text of its own, and compare the answer with what the models answer.

    `upstream_model` is the name of the deployments' models, if it is another one.
    """
    text = f"{number} {_PADDING} {number}"
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 200,
        "stream": shape.is_stream,
    }
    response = await client.post(_PATHS[shape.dialect], json=body)
    seconds = response.elapsed.total_seconds()
    attempts = int(response.headers.get("x-intellirouter-attempts", "0"))
    if response.status_code != 200:
        return Verdict("error", seconds, attempts, response.text[:300])
    error, is_finished, answer = _read_stream(response.text) if shape.is_stream else _read_whole(response.json())
    if error:
        return Verdict("error", seconds, attempts, error[:300])
    outcome = _outcome(answer, f"{upstream_model or model}: {text}", is_finished=is_finished)
    return Verdict(outcome, seconds, attempts, "" if outcome == "ok" else answer[:300])


def _outcome(answer: str, expected: str, *, is_finished: bool) -> str:
    if answer == expected:
        return "ok" if is_finished else "truncated"
    if expected.startswith(answer):
        return "truncated"
    return "duplicated" if len(answer) > len(expected) else "wrong"


def _read_whole(answer: dict[str, Any]) -> tuple[str, bool, str]:
    """Return the error, whether the answer has a finish reason, and the text."""
    if "error" in answer:
        return json.dumps(answer["error"]), False, ""
    if "choices" in answer:
        choice = answer["choices"][0]
        return "", bool(choice["finish_reason"]), choice["message"]["content"] or ""
    text = "".join(block.get("text", "") for block in answer["content"])
    return "", bool(answer["stop_reason"]), text


def _read_stream(text: str) -> tuple[str, bool, str]:
    error, is_finished, has_end, pieces = "", False, False, []
    for line in text.splitlines():
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        if data == "[DONE]":
            has_end = True
            continue
        event = json.loads(data)
        if "error" in event:
            error = json.dumps(event["error"])
        for choice in event.get("choices", ()):
            pieces.append(choice["delta"].get("content") or "")
            is_finished = is_finished or bool(choice.get("finish_reason"))
        if event.get("type") == "content_block_delta":
            pieces.append(event["delta"].get("text", ""))
        if event.get("type") == "message_delta":
            is_finished = is_finished or bool(event["delta"].get("stop_reason"))
        has_end = has_end or event.get("type") == "message_stop"
    return error, is_finished and has_end, "".join(pieces)
