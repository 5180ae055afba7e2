"""The blocking client: runs the steps of each call with httpx."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import httpx

from intellirouter.client.api_requests import (
    HEALTH_REQUEST,
    MODELS_REQUEST,
    TAIL_REQUEST,
    ApiRequest,
    Messages,
    chat_request,
    chat_stream_request,
    embeddings_request,
    explain_request,
    record_page_request,
    record_request,
)
from intellirouter.client.attempt_limits import AttemptLimits
from intellirouter.client.errors import IntelliRouterError
from intellirouter.client.httpx_adapter import (
    client_options,
    is_event_stream,
    request_options,
    socket_options,
    to_error,
    to_failure,
    to_response,
)
from intellirouter.client.replies import (
    ChatReply,
    Delta,
    EmbeddingsReply,
    Explanation,
    Health,
    ModelInfo,
    RequestPage,
    Route,
    cost_of_record,
    parse_chat,
    parse_embeddings,
    parse_explanation,
    parse_health,
    parse_models,
    parse_record,
    parse_record_page,
    parse_route,
)
from intellirouter.client.retries import ApiResponse, ConnectionFailure, Outcome, Send, call_steps
from intellirouter.client.settings import Settings, resolve_settings
from intellirouter.client.stream import ChatStreamDecoder, RecordStreamDecoder
from intellirouter.core import ExchangeRecord


class Client:
    """A client for one gateway. It is thread-safe. Close it, or use it as a context manager."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 600,
        max_retries: int = 2,
        ca_file: str | None = None,
    ) -> None:
        """Create a client. Nothing is sent until the first call.

        `base_url` defaults to INTELLIROUTER_BASE_URL, then to the address at which `serve` would listen with this
        environment (API_PORT), which is http://127.0.0.1:8080 by default; `unix:/PATH` is a unix socket. `api_key`
        defaults to INTELLIROUTER_API_KEY, then to none. `timeout_s` limits connecting (with at most 10 s) and each read
        of a response. Failed connection attempts and the statuses 408, 409, 429 and 5xx are retried up to
        `max_retries` times. `ca_file` names a file of additional certificate authorities. Raises `ValueError` if an
        argument or a proxy of the environment cannot be used.
        """
        self._settings = resolve_settings(base_url, api_key, timeout_s, max_retries, ca_file)
        own = None if self._settings.uds is None else httpx.HTTPTransport(**socket_options(self._settings))
        self._http = httpx.Client(**client_options(self._settings), transport=own)

    @property
    def base_url(self) -> str:
        return self._settings.base_url

    def chat(
        self, messages: Messages, *, model: str = "auto", limits: AttemptLimits | None = None, **fields: Any
    ) -> ChatReply:
        """Return the complete answer. `fields` are any fields of OpenAI's chat completions: temperature, tools, …

        `limits` limit the attempts that the gateway makes for this request. Raises `IntelliRouterError`.
        """
        return parse_chat(self._call(chat_request(messages, model, fields, limits)))

    def stream(
        self, messages: Messages, *, model: str = "auto", limits: AttemptLimits | None = None, **fields: Any
    ) -> "ChatStream":
        """Return as soon as the answer begins. Iterate over the result to get its chunks.

        Raises `IntelliRouterError` if the request fails. The iteration raises it if the stream fails later.
        """
        response = self._call(chat_stream_request(messages, model, fields, limits))
        return ChatStream(response, self._settings)

    def embeddings(
        self, text: str | Sequence[str], model: str, *, limits: AttemptLimits | None = None, **fields: Any
    ) -> EmbeddingsReply:
        return parse_embeddings(self._call(embeddings_request(text, model, fields, limits)))

    def models(self) -> list[ModelInfo]:
        return parse_models(self._call(MODELS_REQUEST))

    def explain(
        self, messages: Messages, model: str = "auto", *, limits: AttemptLimits | None = None, **fields: Any
    ) -> Explanation:
        """Return which deployments would serve this request, in which order and why. No model is called."""
        return parse_explanation(self._call(explain_request(messages, model, fields, limits)))

    def request(self, request_id: str) -> ExchangeRecord:
        return parse_record(self._call(record_request(request_id)))

    def cost_usd(self, reply: ChatReply | EmbeddingsReply) -> Decimal | None:
        """Return the cost of an answer; None if the price is unknown.

        The headers of a complete answer contain its cost. That of a stream is read from its record, with a request.
        """
        if reply.cost_usd is not None or reply.request_id is None:
            return reply.cost_usd
        return cost_of_record(self.request(reply.request_id))

    def requests(self, **filters: Any) -> RequestPage:
        """Return finished requests, newest first.

        `filters`: limit, before, id_prefix, model, deployment, errors=True.
        """
        return parse_record_page(self._call(record_page_request(filters)))

    def tail(self) -> "RecordFeed":
        """Return a feed of requests as they finish. Close it after use."""
        return RecordFeed(self._call(TAIL_REQUEST), self._settings)

    def health(self) -> Health:
        """Return the health report, also if the gateway is unhealthy."""
        return parse_health(self._call(HEALTH_REQUEST))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, request: ApiRequest) -> ApiResponse:
        steps = call_steps(request, self._settings.max_retries)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as ended:
                response: ApiResponse = ended.value
                return response
            if isinstance(step, Send):
                outcome = self._send(step.request)
            else:
                time.sleep(step.delay_s)
                outcome = None

    def _send(self, request: ApiRequest) -> ApiResponse | ConnectionFailure:
        built = self._http.build_request(**request_options(request, self._settings))
        try:
            response = self._http.send(built, stream=request.is_stream)
            if request.is_stream and is_event_stream(response):
                opened = to_response(response, b"")
                opened.live = response
                return opened
            return to_response(response, response.read())
        except httpx.RequestError as error:
            return to_failure(error, self._settings)


class _ResponseBody:
    """The body of an open response. Raises `IntelliRouterError` instead of the errors of httpx."""

    def __init__(self, response: httpx.Response, settings: Settings) -> None:
        self._response = response
        self._settings = settings
        self._chunks = response.iter_bytes()

    def next(self) -> bytes | None:
        """Return the next bytes; None at the end."""
        try:
            return next(self._chunks, None)
        except httpx.RequestError as error:
            raise to_error(error, self._settings) from error

    def close(self) -> None:
        self._response.close()


class ChatStream:
    """A streamed answer. Leaving its `with` block before the end aborts the request, as `close` does."""

    def __init__(self, response: ApiResponse, settings: Settings) -> None:
        self._decoder = ChatStreamDecoder(parse_route(response.headers))
        self._body = _ResponseBody(response.live, settings)
        self._received: deque[Delta | IntelliRouterError] = deque()
        self._is_closed = False

    @property
    def route(self) -> Route:
        """Request ID, deployment, strategy and reason. Known as soon as the stream is open."""
        return self._decoder.route

    def reply(self) -> ChatReply:
        """Read the rest of the stream and return the complete answer; after `close`, what was received before."""
        for _ in self:
            pass
        return self._decoder.reply()

    def __iter__(self) -> Iterator[Delta]:
        return self

    def __next__(self) -> Delta:
        while not self._received:
            if self._is_closed:
                raise StopIteration
            self._read()
        item = self._received.popleft()
        if isinstance(item, IntelliRouterError):
            raise item
        return item

    def _read(self) -> None:
        """Read the next bytes. Reads on after the last event, because closing early would look like an abort."""
        try:
            data = self._body.next()
            if data is not None:
                self._received.extend(self._decoder.feed(data))
                return
            self._decoder.finish()
        except IntelliRouterError:
            self.close()
            if not self._decoder.is_done:
                raise
        self.close()

    def close(self) -> None:
        """Stop reading. Before the end of the stream, this aborts the request."""
        self._is_closed = True
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RecordFeed:
    """The records of requests as they finish. Iterate over it, and close it after use."""

    def __init__(self, response: ApiResponse, settings: Settings) -> None:
        self._decoder = RecordStreamDecoder()
        self._body = _ResponseBody(response.live, settings)

    def __iter__(self) -> Iterator[ExchangeRecord]:
        while (data := self._body.next()) is not None:
            yield from self._decoder.feed(data)

    def close(self) -> None:
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
