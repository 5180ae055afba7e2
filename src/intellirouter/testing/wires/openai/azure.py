"""OpenAI's API as Azure serves it: deployments in the path, keys in `api-key`, content filters in every answer."""

import re
from functools import partial
from typing import Any, Final

import msgspec

from intellirouter.core import new_id
from intellirouter.fake.completion import Completion
from intellirouter.fake.models import find_behavior
from intellirouter.fake.openai.replies import json_reply
from intellirouter.fake.reply import ErrorInfo, Reply, RequestRejected, WireFormat, json_object, pretty_json
from intellirouter.testing.wires.openai.api import OpenAiApi
from intellirouter.testing.wires.shared.request import WireRequest

_PATH: Final = re.compile(r"/openai/deployments/(?P<deployment>[^/]+)(?P<below>/.+)")
_VERSION: Final = re.compile(r"\d{4}-\d\d-\d\d(?:-preview)?")
_SERVED: Final = (
    "/chat/completions", "/completions", "/embeddings", "/images/generations", "/images/edits", "/audio/speech",
    "/audio/transcriptions", "/audio/translations",
)  # fmt: skip
"""The operations of a deployment; files, batches and responses are below `/openai/v1`."""
_MESSAGES: Final = {
    401: "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription and use a correct regional API endpoint for your resource.",
    404: "Resource not found",
    408: "The operation timed out.",
    500: "The server had an error processing your request. Sorry about that! You can retry your request, or contact us "
    "through an Azure support request if you keep seeing this error.",
}
_SAFE: Final = {"filtered": False, "severity": "safe"}
_FILTERS: Final = {"hate": _SAFE, "self_harm": _SAFE, "sexual": _SAFE, "violence": _SAFE}
_PROMPT_FILTERS: Final = [{"prompt_index": 0, "content_filter_results": _FILTERS}]


class AzureError(RequestRejected):
    """Azure rejects the request; `code` is a word, or the status as a string."""

    def __init__(self, status: int, message: str = "", *, code: str = "", more: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self._status = status
        error = {"code": code or str(status), "message": message or _MESSAGES.get(status, f"Error {status}.")}
        self._document = {"error": {**error, **(more or {})}}

    def reply(self) -> Reply:
        return json_reply(self._document, status=self._status)


def _render_error(error: ErrorInfo) -> Reply:
    message, seconds = error.message, error.retry_after_s
    if error.status == 429 and not message:
        message = (
            "Requests to the ChatCompletions_Create Operation under Azure OpenAI API have exceeded call rate limit of "
            f"your current OpenAI S0 pricing tier. Please retry after {seconds or 1:g} seconds."
        )
    more = {"type": error.type} if error.type else {}
    # Azure uses the status as the code, not OpenAI's codes.
    reply = AzureError(error.status, message, more=more).reply()
    if seconds is not None:
        reply.headers += [("retry-after", f"{seconds:g}"), ("retry-after-ms", f"{seconds * 1000:.0f}")]
    return reply


class AzureApi:
    """Answers requests below `/openai`."""

    def __init__(self, api_key: str | None = None) -> None:
        self._api_key = api_key
        self._openai = OpenAiApi()

    def reset(self) -> None:
        self._openai.reset()

    def answer(self, request: WireRequest) -> Reply:
        """Never raises: errors are returned as replies."""
        try:
            self._authenticate(request)
            reply = self._answer(request)
        except RequestRejected as error:
            reply = error.reply()
        return _as_azure(reply)

    def _authenticate(self, request: WireRequest) -> None:
        # A bearer token can be one of Entra's, so any token is accepted unless a key is required.
        given = request.headers.get("api-key") or request.key
        if not given or (self._api_key is not None and given != self._api_key):
            raise AzureError(401)

    def _answer(self, request: WireRequest) -> Reply:
        if request.path.startswith("/openai/v1/"):
            return self._below(request, request.path.removeprefix("/openai/v1"))
        place = _PATH.fullmatch(request.path)
        if place is None or place["below"] not in _SERVED:
            raise AzureError(404)
        if not _VERSION.fullmatch(request.query.get("api-version", "")):
            raise AzureError(404)
        name = place["deployment"]
        request.model = request.deployment = name
        if name.startswith("no-such-"):
            raise AzureError(
                404,
                "The API deployment for this resource does not exist. If you created the deployment within the last 5 "
                "minutes, please wait a moment and try again.",
                code="DeploymentNotFound",
            )
        document = json_object(request.body)
        if document is not None:
            request.body = msgspec.json.encode({**document, "model": name})
        return self._below(request, place["below"])

    def _below(self, request: WireRequest, path: str) -> Reply:
        reply = self._openai.answer_below(request, path)
        behavior = find_behavior(request.model or "")
        if behavior is not None and behavior.refuses:
            raise _filtered()
        return reply


def _filtered() -> AzureError:
    result = {**_FILTERS, "violence": {"filtered": True, "severity": "medium"}}
    return AzureError(
        400,
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please "
        "modify your prompt and retry. To learn more about our content filtering policies please read our "
        "documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
        code="content_filter",
        more={
            "type": None,
            "param": "prompt",
            "status": 400,
            "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result},
        },
    )


def _as_azure(reply: Reply) -> Reply:
    """Add Azure's headers and errors, and content filters if it is a chat completion."""
    reply.headers = [pair for pair in reply.headers if not pair[0].startswith("openai-")]
    reply.headers += [("apim-request-id", new_id("")), ("x-ms-region", "Mock Region"), ("azureml-model-session", "v1")]
    wire = reply.wire
    reply.wire = msgspec.structs.replace(wire, render_error=lambda error: _as_azure(_render_error(error)))
    if reply.plan is None or wire.name != "openai_chat" or reply.render is None:
        return reply
    reply.parts = _filters_around(reply, wire)
    reply.render = partial(_render_again, reply.render)
    return reply


def _render_again(render: Any, plan: Completion) -> Reply:
    return _as_azure(render(plan))


def _filters_around(reply: Reply, wire: WireFormat) -> list[bytes]:
    if not reply.is_stream:
        document = msgspec.json.decode(reply.parts[0])
        for choice in document["choices"]:
            choice["content_filter_results"] = _FILTERS
        return [pretty_json({**document, "prompt_filter_results": _PROMPT_FILTERS})]
    # The filters of the prompt come first, in a chunk without choices and without an id.
    head = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": "", "choices": []}
    first = msgspec.json.encode({**head, "prompt_filter_results": _PROMPT_FILTERS})
    return [wire.framing.wrap(first, reply.parts[0]), *(_filtered_chunk(part, wire) for part in reply.parts)]


def _filtered_chunk(part: bytes, wire: WireFormat) -> bytes:
    payload = wire.framing.payload(part)
    if payload is None:
        return part
    document = msgspec.json.decode(payload)
    for choice in document["choices"]:
        choice["content_filter_results"] = _FILTERS if choice.get("delta", choice).get("content") else {}
    return wire.framing.wrap(msgspec.json.encode(document), part)
