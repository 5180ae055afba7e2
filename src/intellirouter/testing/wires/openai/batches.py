"""`/v1/batches`: every line of the input file is a request; the answers are written to files."""

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

MAX_STORED: Final = 1000
MAX_LINES: Final = 50_000
WINDOW_S: Final = 86_400
POLLS_KEY: Final = "mock_polls"
"""Metadata: how many times the batch can be retrieved before it is complete; the default is 0."""
ENDPOINTS: Final = (
    "/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/responses", "/v1/moderations",
)  # fmt: skip
_ROOT: Final = "/batches"
Line = dict[str, Any]


class _Batch(Struct, kw_only=True):
    document: dict[str, Any]
    lines: list[Line] = field(default_factory=list)
    polls_left: int = 0


class Batches:
    """Part of OpenAI's API, with its stored objects."""

    def __init__(self, files: Files, answer_one: Callable[[WireRequest, str], Reply]) -> None:
        """`answer_one` answers a single request below `/v1`."""
        self._files = files
        self._answer_one = answer_one
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
                documents = [batch.document for batch in self._batches.values()]
                return json_reply(page_of(documents, request, default_order="desc"))
            case "GET", True, "":
                return self._retrieve(request, name)
            case "POST", True, "cancel":
                return self._cancel(request, name)
        raise not_allowed(request.method, request.path)

    def _create(self, request: WireRequest) -> Reply:
        body = body_of(request)
        endpoint, window = body.get("endpoint"), body.get("completion_window")
        if endpoint not in ENDPOINTS:
            raise OpenAiError(400, f"Invalid value: '{endpoint}'.", param="endpoint", code="invalid_value")
        if window != "24h":
            raise OpenAiError(400, f"Invalid value: '{window}'.", param="completion_window", code="invalid_value")
        file = self._files.find(str(body.get("input_file_id")))
        metadata = optional(body, "metadata", dict)
        now_s = request.created_s
        document: dict[str, Any] = {
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
        batch = _Batch(document=document)
        polls = str((metadata or {}).get(POLLS_KEY, "0"))
        batch.polls_left = int(polls) if polls.isdecimal() else 0
        self._batches[document["id"]] = batch
        if len(self._batches) > MAX_STORED:
            self._batches.popitem(last=False)
        reply = json_reply(dict(document))
        self._read(batch, file.content, now_s)
        return reply

    def _read(self, batch: _Batch, content: bytes, now_s: int) -> None:
        """Validate all lines; the batch fails if one of them is invalid."""
        document = batch.document
        line_errors = []
        seen: set[str] = set()
        for number, raw in enumerate(content.splitlines()[:MAX_LINES], 1):
            if not raw.strip():
                continue
            line = json_object(raw)
            line_error = _line_error(line, document["endpoint"], seen)
            if line_error is not None:
                line_errors.append({**line_error, "line": number})
            elif line is not None:
                batch.lines.append(line)
        if not batch.lines and not line_errors:
            line_errors.append(
                {"code": "empty_file", "message": "The input file is empty.", "param": None, "line": None}
            )
        if line_errors:
            document.update(status="failed", failed_at=now_s, errors={"object": "list", "data": line_errors})
            return
        document["status"] = "in_progress"
        document["request_counts"] = {"total": len(batch.lines), "completed": 0, "failed": 0}

    def _find(self, name: str) -> _Batch:
        batch = self._batches.get(name)
        if batch is None:
            raise OpenAiError(404, f"No batch found with id '{name}'.", param="id")
        return batch

    def _retrieve(self, request: WireRequest, name: str) -> Reply:
        batch = self._find(name)
        document = batch.document
        if document["status"] == "cancelling":
            document.update(status="cancelled", cancelled_at=request.created_s)
        elif document["status"] == "in_progress":
            if batch.polls_left:
                batch.polls_left -= 1
            else:
                self._run(batch, request)
        return json_reply(document)

    def _cancel(self, request: WireRequest, name: str) -> Reply:
        document = self._find(name).document
        if document["status"] not in ("validating", "in_progress"):
            raise OpenAiError(409, f"Cannot cancel a batch with status '{document['status']}'.")
        document.update(status="cancelling", cancelling_at=request.created_s)
        return json_reply(document)

    def _run(self, batch: _Batch, request: WireRequest) -> None:
        succeeded: list[Line] = []
        failed: list[Line] = []
        for line in batch.lines:
            reply = self._answer_line(line, request)
            body = msgspec.json.decode(reply.parts[0])
            headers = dict(reply.headers)
            response = {"status_code": reply.status, "request_id": headers.get("x-request-id"), "body": body}
            result = {"id": new_id("batch_req_"), "custom_id": line["custom_id"], "response": response, "error": None}
            (succeeded if reply.status < 400 else failed).append(result)
        document, now_s = batch.document, request.created_s
        document["request_counts"] = {"total": len(batch.lines), "completed": len(succeeded), "failed": len(failed)}
        for name, lines in (("output", succeeded), ("error", failed)):
            if lines:
                content = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
                file = self._files.add(f"{document['id']}_{name}.jsonl", "batch_output", content, now_s)
                document[f"{name}_file_id"] = file.id
        document.update(status="completed", finalizing_at=now_s, completed_at=now_s)

    def _answer_line(self, line: Line, request: WireRequest) -> Reply:
        body = {**line["body"], "stream": False}
        if line["url"] in ("/v1/embeddings", "/v1/moderations"):
            del body["stream"]
        single = WireRequest(
            method="POST",
            path=line["url"],
            headers=request.headers,
            body=msgspec.json.encode(body),
            created_s=request.created_s,
        )
        try:
            return self._answer_one(single, line["url"].removeprefix("/v1"))
        except RequestRejected as error:
            return error.reply()


def _line_error(line: Line | None, endpoint: str, seen: set[str]) -> dict[str, Any] | None:
    """Return what is wrong with a line, or None if it is valid."""
    if line is None:
        return {"code": "invalid_json_line", "message": "This line is not parseable as valid JSON.", "param": None}
    name = line.get("custom_id")
    if not isinstance(name, str):
        return {"code": "missing_required_parameter", "message": "Missing required parameter: 'custom_id'.",
                "param": "custom_id"}  # fmt: skip
    if name in seen:
        message = f"The custom_id '{name}' is not unique in this batch."
        return {"code": "duplicate_custom_id", "message": message, "param": "custom_id"}
    seen.add(name)
    if line.get("method") != "POST":
        return {"code": "invalid_method", "message": "The method must be POST.", "param": "method"}
    if line.get("url") != endpoint:
        message = "The URL provided for this request does not match the batch endpoint."
        return {"code": "mismatched_endpoint", "message": message, "param": "url"}
    if not isinstance(line.get("body"), dict):
        return {"code": "invalid_request", "message": "The body must be an object.", "param": "body"}
    return None
