"""`/v1/batches`: every line of a file is a request; the answers become files."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from intellirouter.core import new_id
from intellirouter.fake.openai.fields import optional
from intellirouter.fake.openai.replies import OpenAiError, json_reply, not_allowed
from intellirouter.fake.reply import Reply, RequestRejected, json_object
from intellirouter.testing.wires.openai.files import Files
from intellirouter.testing.wires.openai.requests import body_of, page_of
from intellirouter.testing.wires.shared.request import WireRequest

MAX_KEPT: Final = 1000
MAX_LINES: Final = 50_000
WINDOW_S: Final = 86_400
POLLS_KEY: Final = "mock_polls"
"""Metadata that says how often a batch is looked at before it is complete; 0, the default, at once."""
ENDPOINTS: Final = (
    "/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/responses", "/v1/moderations",
)  # fmt: skip
_ROOT: Final = "/batches"
Line = dict[str, Any]


class _Batch(Struct, kw_only=True):
    card: dict[str, Any]
    lines: list[Line] = field(default_factory=list)
    polls_left: int = 0


class Batches:
    """Part of OpenAI's API."""

    def __init__(self, files: Files, ask: Callable[[WireRequest, str], Reply]) -> None:
        """`ask` answers a request below `/v1`, as it would have been answered alone."""
        self._files = files
        self._ask = ask
        self._batches: OrderedDict[str, _Batch] = OrderedDict()

    def clear(self) -> None:
        self._batches.clear()

    def answer(self, request: WireRequest, path: str) -> Reply | None:
        if path != _ROOT and not path.startswith(f"{_ROOT}/"):
            return None
        name, _, what = path.removeprefix(_ROOT).removeprefix("/").partition("/")
        match request.method, bool(name), what:
            case "POST", False, "":
                return self._create(request)
            case "GET", False, "":
                cards = [batch.card for batch in self._batches.values()]
                return json_reply(page_of(cards, request, default_order="desc"))
            case "GET", True, "":
                return self._look(request, name)
            case "POST", True, "cancel":
                return self._cancel(request, name)
        raise not_allowed(request.method, request.path)

    def _create(self, request: WireRequest) -> Reply:
        document = body_of(request)
        endpoint, window = document.get("endpoint"), document.get("completion_window")
        if endpoint not in ENDPOINTS:
            raise OpenAiError(400, f"Invalid value: '{endpoint}'.", param="endpoint", code="invalid_value")
        if window != "24h":
            raise OpenAiError(400, f"Invalid value: '{window}'.", param="completion_window", code="invalid_value")
        file = self._files.find(str(document.get("input_file_id")))
        metadata = optional(document, "metadata", dict)
        now_s = request.created_s
        card: dict[str, Any] = {
            "id": new_id("batch_"),
            "object": "batch",
            "endpoint": endpoint,
            "errors": None,
            "input_file_id": file.id,
            "completion_window": window,
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": now_s,
            "in_progress_at": now_s,
            "expires_at": now_s + WINDOW_S,
            **dict.fromkeys(
                ("finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at")
            ),
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": metadata,
        }
        batch = _Batch(card=card)
        polls = str((metadata or {}).get(POLLS_KEY, "0"))
        batch.polls_left = int(polls) if polls.isdecimal() else 0
        self._batches[card["id"]] = batch
        if len(self._batches) > MAX_KEPT:
            self._batches.popitem(last=False)
        said = json_reply(dict(card))
        self._read(batch, file.content, now_s)
        return said

    def _read(self, batch: _Batch, content: bytes, now_s: int) -> None:
        """Check all lines; a batch with a bad one fails as a whole."""
        card = batch.card
        mistakes = []
        seen: set[str] = set()
        for number, raw in enumerate(content.splitlines()[:MAX_LINES], 1):
            if not raw.strip():
                continue
            line = json_object(raw)
            mistake = _mistake(line, card["endpoint"], seen)
            if mistake is not None:
                mistakes.append({**mistake, "line": number})
            elif line is not None:
                batch.lines.append(line)
        if not batch.lines and not mistakes:
            mistakes.append({"code": "empty_file", "message": "The input file is empty.", "param": None, "line": None})
        if mistakes:
            card.update(status="failed", failed_at=now_s, errors={"object": "list", "data": mistakes})
            return
        card["status"] = "in_progress"
        card["request_counts"] = {"total": len(batch.lines), "completed": 0, "failed": 0}

    def _find(self, name: str) -> _Batch:
        batch = self._batches.get(name)
        if batch is None:
            raise OpenAiError(404, f"No batch found with id '{name}'.", param="id")
        return batch

    def _look(self, request: WireRequest, name: str) -> Reply:
        batch = self._find(name)
        card = batch.card
        if card["status"] == "cancelling":
            card.update(status="cancelled", cancelled_at=request.created_s)
        elif card["status"] == "in_progress":
            if batch.polls_left:
                batch.polls_left -= 1
            else:
                self._run(batch, request)
        return json_reply(card)

    def _cancel(self, request: WireRequest, name: str) -> Reply:
        card = self._find(name).card
        if card["status"] not in ("validating", "in_progress"):
            raise OpenAiError(409, f"Cannot cancel a batch with status '{card['status']}'.")
        card.update(status="cancelling", cancelling_at=request.created_s)
        return json_reply(card)

    def _run(self, batch: _Batch, request: WireRequest) -> None:
        good: list[Line] = []
        bad: list[Line] = []
        for line in batch.lines:
            reply = self._answered(line, request)
            body = msgspec.json.decode(reply.parts[0])
            headers = dict(reply.headers)
            answered = {"status_code": reply.status, "request_id": headers.get("x-request-id"), "body": body}
            written = {"id": new_id("batch_req_"), "custom_id": line["custom_id"], "response": answered, "error": None}
            (good if reply.status < 400 else bad).append(written)
        card, now_s = batch.card, request.created_s
        card["request_counts"] = {"total": len(batch.lines), "completed": len(good), "failed": len(bad)}
        for name, lines in (("output", good), ("error", bad)):
            if lines:
                content = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
                file = self._files.add(f"{card['id']}_{name}.jsonl", "batch_output", content, now_s)
                card[f"{name}_file_id"] = file.id
        card.update(status="completed", finalizing_at=now_s, completed_at=now_s)

    def _answered(self, line: Line, request: WireRequest) -> Reply:
        body = {**line["body"], "stream": False}
        if line["url"] in ("/v1/embeddings", "/v1/moderations"):
            del body["stream"]
        alone = WireRequest(
            method="POST",
            path=line["url"],
            headers=request.headers,
            body=msgspec.json.encode(body),
            created_s=request.created_s,
        )
        try:
            return self._ask(alone, line["url"].removeprefix("/v1"))
        except RequestRejected as refusal:
            return refusal.reply()


def _mistake(line: Line | None, endpoint: str, seen: set[str]) -> dict[str, Any] | None:
    """Say what is wrong with one line."""
    if line is None:
        return {"code": "invalid_json_line", "message": "This line is not parseable as valid JSON.", "param": None}
    name = line.get("custom_id")
    if not isinstance(name, str):
        return {"code": "missing_required_parameter", "message": "Missing required parameter: 'custom_id'.",
                "param": "custom_id"}  # fmt: skip
    if name in seen:
        said = f"The custom_id '{name}' is not unique in this batch."
        return {"code": "duplicate_custom_id", "message": said, "param": "custom_id"}
    seen.add(name)
    if line.get("method") != "POST":
        return {"code": "invalid_method", "message": "The method must be POST.", "param": "method"}
    if line.get("url") != endpoint:
        said = "The URL provided for this request does not match the batch endpoint."
        return {"code": "mismatched_endpoint", "message": said, "param": "url"}
    if not isinstance(line.get("body"), dict):
        return {"code": "invalid_request", "message": "The body must be an object.", "param": "body"}
    return None
