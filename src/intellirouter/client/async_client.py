"""The asyncio client: runs the steps of each call with httpx. `sync_client` documents the methods."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
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


class AsyncClient:
    """`Client` for asyncio, with the same methods as coroutines."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 600,
        max_retries: int = 2,
        ca_file: str | None = None,
    ) -> None:
        self._settings = resolve_settings(base_url, api_key, timeout_s, max_retries, ca_file)
        own = None if self._settings.uds is None else httpx.AsyncHTTPTransport(**socket_options(self._settings))
        self._http = httpx.AsyncClient(**client_options(self._settings), transport=own)

    @property
    def base_url(self) -> str:
        return self._settings.base_url

    async def chat(
        self, messages: Messages, *, model: str = "auto", limits: AttemptLimits | None = None, **fields: Any
    ) -> ChatReply:
        return parse_chat(await self._call(chat_request(messages, model, fields, limits)))

    async def stream(
        self, messages: Messages, *, model: str = "auto", limits: AttemptLimits | None = None, **fields: Any
    ) -> "AsyncChatStream":
        response = await self._call(chat_stream_request(messages, model, fields, limits))
        return AsyncChatStream(response, self._settings)

    async def embeddings(
        self, text: str | Sequence[str], model: str, *, limits: AttemptLimits | None = None, **fields: Any
    ) -> EmbeddingsReply:
        return parse_embeddings(await self._call(embeddings_request(text, model, fields, limits)))

    async def models(self) -> list[ModelInfo]:
        return parse_models(await self._call(MODELS_REQUEST))

    async def explain(
        self, messages: Messages, model: str = "auto", *, limits: AttemptLimits | None = None, **fields: Any
    ) -> Explanation:
        return parse_explanation(await self._call(explain_request(messages, model, fields, limits)))

    async def request(self, request_id: str) -> ExchangeRecord:
        return parse_record(await self._call(record_request(request_id)))

    async def cost_usd(self, reply: ChatReply | EmbeddingsReply) -> Decimal | None:
        if reply.cost_usd is not None or reply.request_id is None:
            return reply.cost_usd
        return cost_of_record(await self.request(reply.request_id))

    async def requests(self, **filters: Any) -> RequestPage:
        return parse_record_page(await self._call(record_page_request(filters)))

    async def tail(self) -> "AsyncRecordFeed":
        return AsyncRecordFeed(await self._call(TAIL_REQUEST), self._settings)

    async def health(self) -> Health:
        return parse_health(await self._call(HEALTH_REQUEST))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(self, request: ApiRequest) -> ApiResponse:
        steps = call_steps(request, self._settings.max_retries)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as ended:
                response: ApiResponse = ended.value
                return response
            if isinstance(step, Send):
                outcome = await self._send(step.request)
            else:
                await asyncio.sleep(step.delay_s)
                outcome = None

    async def _send(self, request: ApiRequest) -> ApiResponse | ConnectionFailure:
        built = self._http.build_request(**request_options(request, self._settings))
        try:
            response = await self._http.send(built, stream=request.is_stream)
            if request.is_stream and is_event_stream(response):
                opened = to_response(response, b"")
                opened.live = response
                return opened
            return to_response(response, await response.aread())
        except httpx.RequestError as error:
            return to_failure(error, self._settings)


class _ResponseBody:
    def __init__(self, response: httpx.Response, settings: Settings) -> None:
        self._response = response
        self._settings = settings
        self._chunks = response.aiter_bytes()

    async def next(self) -> bytes | None:
        """Return the next bytes; None at the end."""
        try:
            return await anext(self._chunks, None)
        except httpx.RequestError as error:
            raise to_error(error, self._settings) from error

    async def close(self) -> None:
        await self._response.aclose()


class AsyncChatStream:
    """A streamed answer. Leaving its `async with` block before the end aborts the request, as `close` does."""

    def __init__(self, response: ApiResponse, settings: Settings) -> None:
        self._decoder = ChatStreamDecoder(parse_route(response.headers))
        self._body = _ResponseBody(response.live, settings)
        self._received: deque[Delta | IntelliRouterError] = deque()
        self._is_closed = False

    @property
    def route(self) -> Route:
        """Request ID, deployment, strategy and reason. Known as soon as the stream is open."""
        return self._decoder.route

    async def reply(self) -> ChatReply:
        """Read the rest of the stream and return the complete answer; after `close`, what was received before."""
        async for _ in self:
            pass
        return self._decoder.reply()

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    async def __anext__(self) -> Delta:
        while not self._received:
            if self._is_closed:
                raise StopAsyncIteration
            await self._read()
        item = self._received.popleft()
        if isinstance(item, IntelliRouterError):
            raise item
        return item

    async def _read(self) -> None:
        """Read the next bytes. Reads on after the last event, because closing early would look like an abort."""
        try:
            data = await self._body.next()
            if data is not None:
                self._received.extend(self._decoder.feed(data))
                return
            self._decoder.finish()
        except IntelliRouterError:
            await self.close()
            if not self._decoder.is_done:
                raise
        await self.close()

    async def close(self) -> None:
        """Stop reading. Before the end of the stream, this aborts the request."""
        self._is_closed = True
        await self._body.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncRecordFeed:
    """The records of requests as they finish. Iterate over it, and close it after use."""

    def __init__(self, response: ApiResponse, settings: Settings) -> None:
        self._decoder = RecordStreamDecoder()
        self._body = _ResponseBody(response.live, settings)

    async def __aiter__(self) -> AsyncIterator[ExchangeRecord]:
        while (data := await self._body.next()) is not None:
            for record in self._decoder.feed(data):
                yield record

    async def close(self) -> None:
        await self._body.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
