"""Answers as values, and how they are read from what the gateway sent."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from intellirouter.client import errors
from intellirouter.client.flow import Answer
from intellirouter.core import Decision, ExchangeRecord

Shape = TypeVar("Shape")


class TokenUsage(Struct, frozen=True, kw_only=True):
    """Tokens as the OpenAI dialect reports them: `cached_tokens` and `reasoning_tokens` are parts of the sums."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class ToolCall(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    arguments: str
    """JSON, as the model wrote it."""

    def parsed(self) -> Any:
        """Return the arguments as Python values. Raises `msgspec.DecodeError` when the model wrote no JSON."""
        return msgspec.json.decode(self.arguments or "{}")


class ToolCallDelta(Struct, frozen=True, kw_only=True):
    """A piece of a tool call. `id` and `name` come with the first piece of each `index`."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Delta(Struct, frozen=True, kw_only=True):
    """One streamed piece."""

    text: str
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None
    usage: TokenUsage | None = None
    raw: dict[str, Any]


class ChatReply(Struct, frozen=True, kw_only=True):
    """A whole answer. `raw` is the document as it came."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: TokenUsage | None = None
    finish_reason: str | None = None
    request_id: str | None = None
    deployment: str | None = None
    cost_usd: Decimal | None = None
    """None when the price is unknown, which is not zero."""
    raw: dict[str, Any]


class EmbeddingsReply(Struct, frozen=True, kw_only=True):
    vectors: tuple[tuple[float, ...], ...]
    """One per input, in the order of the inputs."""
    usage: TokenUsage | None = None
    request_id: str | None = None
    deployment: str | None = None
    cost_usd: Decimal | None = None
    raw: dict[str, Any]


class ModelInfo(Struct, frozen=True, kw_only=True):
    """One name that `model=` accepts."""

    name: str
    kind: str = "model"
    """`model`, `deployment` or `wildcard`."""
    strategy: str | None = None
    deployments: tuple[Any, ...] = ()
    status: str | None = None
    capabilities: tuple[str, ...] | None = None
    """None = unknown."""
    context_tokens: int | None = None
    price: dict[str, Any] | None = None
    """`input_per_1m_usd`, `output_per_1m_usd`; None when unknown."""
    metrics: dict[str, Any] | None = None
    raw: dict[str, Any]


class Health(Struct, frozen=True, kw_only=True):
    status: str
    """`healthy`, `degraded` or `unhealthy`."""
    version: str | None = None
    uptime_s: float | None = None
    services: dict[str, Any] = {}
    models: tuple[Any, ...] = ()
    in_flight: int | None = None
    warnings: tuple[str, ...] = ()
    raw: dict[str, Any]


class Explanation(Struct, frozen=True, kw_only=True):
    """What the gateway would do with a request, without doing it."""

    model: str
    decision: Decision
    needs: tuple[str, ...] = ()
    input_tokens_estimate: int | None = None
    plan: tuple[Any, ...] = ()
    raw: dict[str, Any]


class RequestSummary(Struct, frozen=True, kw_only=True):
    """One finished exchange in a list. `Client.request` has the whole record."""

    request_id: str
    started_us: int
    """Wall time, microseconds since the epoch."""
    tenant: str | None = None
    key_name: str | None = None
    model: str | None = None
    deployment: str | None = None
    status: int
    error_code: str | None = None
    is_stream: bool = False
    duration_ms: float
    cost_microusd: int | None = None
    """None when the price is unknown."""


class RequestPage(Struct, frozen=True, kw_only=True):
    """Finished exchanges, newest first. Pass `next` as `before` to get the page after this one."""

    requests: tuple[RequestSummary, ...]
    next: str | None = None


class Route(Struct, frozen=True, kw_only=True):
    """What the response headers say of how a request was served."""

    request_id: str | None = None
    deployment: str | None = None
    strategy: str | None = None
    reason: str | None = None
    cost_usd: Decimal | None = None


def route(headers: Mapping[str, str]) -> Route:
    return Route(
        request_id=headers.get("x-request-id"),
        deployment=headers.get("x-intellirouter-deployment"),
        strategy=headers.get("x-intellirouter-strategy"),
        reason=headers.get("x-intellirouter-reason"),
        cost_usd=_decimal(headers.get("x-intellirouter-cost-usd")),
    )


def chat(answer: Answer) -> ChatReply:
    document = _document(answer)
    served = route(answer.headers)
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _unreadable(answer, "it has no choices")
    message = choices[0].get("message") or {}
    return ChatReply(
        text=text_of(message.get("content")),
        tool_calls=tuple(_tool_call(call) for call in message.get("tool_calls") or ()),
        usage=usage(document.get("usage")),
        finish_reason=choices[0].get("finish_reason"),
        request_id=served.request_id,
        deployment=served.deployment,
        cost_usd=served.cost_usd,
        raw=document,
    )


def embeddings(answer: Answer) -> EmbeddingsReply:
    document = _document(answer)
    served = route(answer.headers)
    rows = document.get("data")
    if not isinstance(rows, list):
        raise _unreadable(answer, "it has no data")
    rows = sorted(rows, key=lambda row: row.get("index", 0))
    return EmbeddingsReply(
        vectors=tuple(tuple(row["embedding"]) for row in rows),
        usage=usage(document.get("usage")),
        request_id=served.request_id,
        deployment=served.deployment,
        cost_usd=served.cost_usd,
        raw=document,
    )


def models(answer: Answer) -> list[ModelInfo]:
    rows = _document(answer).get("models")
    if not isinstance(rows, list):
        raise _unreadable(answer, "it has no models")
    return [_shaped({**row, "raw": row}, ModelInfo, answer) for row in rows]


def health(answer: Answer) -> Health:
    """A 503 that carries a report is a report; one that carries an error is an error."""
    document = _document(answer)
    if answer.status >= 400 and "status" not in document:
        raise errors.from_answer(answer.status, answer.headers, answer.body)
    return _shaped({**document, "raw": document}, Health, answer)


def explanation(answer: Answer) -> Explanation:
    document = _document(answer)
    return _shaped({**document, "raw": document}, Explanation, answer)


def record(answer: Answer) -> ExchangeRecord:
    return _shaped(_document(answer), ExchangeRecord, answer)


def page(answer: Answer) -> RequestPage:
    return _shaped(_document(answer), RequestPage, answer)


def usage(document: Any) -> TokenUsage | None:
    if not isinstance(document, dict):
        return None
    prompt, completion = _count(document, "prompt_tokens"), _count(document, "completion_tokens")
    return TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=_count(document, "total_tokens") or prompt + completion,
        cached_tokens=_count(document.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=_count(document.get("completion_tokens_details"), "reasoning_tokens"),
    )


def text_of(content: Any) -> str:
    """Join the text of a message's content, whether it is a string or a list of parts."""
    if isinstance(content, str):
        return content
    parts: Sequence[Any] = content if isinstance(content, list) else ()
    return "".join(part.get("text") or "" for part in parts if isinstance(part, dict))


def _tool_call(call: Mapping[str, Any]) -> ToolCall:
    function = call.get("function") or {}
    return ToolCall(id=call.get("id") or "", name=function.get("name") or "", arguments=function.get("arguments") or "")


def _count(document: Any, name: str) -> int:
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, int) else 0


def _decimal(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None


def _document(answer: Answer) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(answer.body)
    except msgspec.DecodeError as error:
        raise _unreadable(answer, "it is not JSON") from error
    if not isinstance(document, dict):
        raise _unreadable(answer, "it is not an object")
    return document


def _shaped(document: Mapping[str, Any], shape: type[Shape], answer: Answer) -> Shape:
    try:
        return msgspec.convert(document, shape)
    except msgspec.ValidationError as error:
        raise _unreadable(answer, str(error)) from error


def _unreadable(answer: Answer, why: str) -> errors.IntelliRouterError:
    return errors.IntelliRouterError(
        f"the answer is not what a gateway of this version sends: {why}",
        status=answer.status,
        envelope={"code": "unreadable_answer", "hint": "Check that the address belongs to an IntelliRouter gateway."},
        request_id=answer.headers.get("x-request-id"),
    )
