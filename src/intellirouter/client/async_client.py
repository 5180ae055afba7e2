"""The asyncio driver: runs the same flow over httpx. What the methods mean is said once, in `sync_client`."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from intellirouter.client import calls, errors, replies, transport
from intellirouter.client.calls import Messages, Outgoing
from intellirouter.client.flow import Answer, Failed, Outcome, Send, exchange
from intellirouter.client.settings import Settings, settings_from
from intellirouter.client.stream import ChatDecoder, RecordDecoder
from intellirouter.core import ExchangeRecord


class AsyncClient:
    """`Client` for asyncio: the same methods, awaited."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 600,
        max_retries: int = 2,
    ) -> None:
        self._settings = settings_from(base_url, api_key, timeout_s, max_retries)
        self._http = httpx.AsyncClient(**transport.client_options(self._settings))

    @property
    def base_url(self) -> str:
        return self._settings.base_url

    async def chat(self, messages: Messages, *, model: str = "auto", **fields: Any) -> replies.ChatReply:
        return replies.chat(await self._ask(calls.chat(messages, model, fields)))

    async def stream(self, messages: Messages, *, model: str = "auto", **fields: Any) -> "AsyncChatStream":
        answer = await self._ask(calls.stream(messages, model, fields))
        return AsyncChatStream(answer, self._settings)

    async def embeddings(self, text: str | Sequence[str], model: str, **fields: Any) -> replies.EmbeddingsReply:
        return replies.embeddings(await self._ask(calls.embeddings(text, model, fields)))

    async def models(self) -> list[replies.ModelInfo]:
        return replies.models(await self._ask(calls.MODELS))

    async def explain(self, messages: Messages, model: str = "auto", **fields: Any) -> replies.Explanation:
        return replies.explanation(await self._ask(calls.explain(messages, model, fields)))

    async def request(self, request_id: str) -> ExchangeRecord:
        return replies.record(await self._ask(calls.request(request_id)))

    async def requests(self, **filters: Any) -> replies.RequestPage:
        return replies.page(await self._ask(calls.requests(filters)))

    async def tail(self) -> "AsyncRecordFeed":
        return AsyncRecordFeed(await self._ask(calls.TAIL), self._settings)

    async def health(self) -> replies.Health:
        return replies.health(await self._ask(calls.HEALTH))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(self, request: Outgoing) -> Answer:
        steps = exchange(request, self._settings.max_retries)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as ended:
                answer: Answer = ended.value
                return answer
            if isinstance(step, Send):
                outcome = await self._send(step.request)
            else:
                await asyncio.sleep(step.delay_s)
                outcome = None

    async def _send(self, request: Outgoing) -> Answer | Failed:
        built = self._http.build_request(**transport.request_options(request, self._settings))
        try:
            response = await self._http.send(built, stream=request.is_stream)
            if request.is_stream and response.status_code < 400:
                answer = transport.answer(response, b"")
                answer.live = response
                return answer
            return transport.answer(response, await response.aread())
        except httpx.RequestError as error:
            return transport.failed(error, self._settings)


class _Bytes:
    def __init__(self, response: httpx.Response, settings: Settings) -> None:
        self._response = response
        self._settings = settings
        self._chunks = response.aiter_bytes()

    async def next(self) -> bytes | None:
        """Return the next bytes, None at the end."""
        try:
            return await anext(self._chunks, None)
        except httpx.RequestError as error:
            raise transport.explained(error, self._settings) from error

    async def close(self) -> None:
        await self._response.aclose()


class AsyncChatStream:
    """An answer in pieces. Leaving the `async with` block, or `close`, before the end aborts the request."""

    def __init__(self, answer: Answer, settings: Settings) -> None:
        self._decoder = ChatDecoder(replies.route(answer.headers))
        self._bytes = _Bytes(answer.live, settings)
        self._ready: deque[replies.Delta | errors.IntelliRouterError] = deque()
        self._is_closed = False

    @property
    def route(self) -> replies.Route:
        """Request id, deployment, strategy and reason, known from the start."""
        return self._decoder.route

    async def reply(self) -> replies.ChatReply:
        """Read what is left and return the whole as one answer; after `close`, what had arrived."""
        async for _ in self:
            pass
        return self._decoder.reply()

    def __aiter__(self) -> AsyncIterator[replies.Delta]:
        return self

    async def __anext__(self) -> replies.Delta:
        while not self._ready:
            if self._is_closed:
                raise StopAsyncIteration
            await self._read()
        piece = self._ready.popleft()
        if isinstance(piece, errors.IntelliRouterError):
            raise piece
        return piece

    async def _read(self) -> None:
        """Take the next bytes. The end is awaited even after the last event: leaving early would look like an abort."""
        try:
            data = await self._bytes.next()
            if data is not None:
                self._ready.extend(self._decoder.feed(data))
                return
            self._decoder.end()
        except errors.IntelliRouterError:
            await self.close()
            if not self._decoder.is_done:
                raise
        await self.close()

    async def close(self) -> None:
        """Stop reading. Before the end this aborts the request; harmless after it."""
        self._is_closed = True
        await self._bytes.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncRecordFeed:
    """Records of exchanges as they finish. Iterate, and close it."""

    def __init__(self, answer: Answer, settings: Settings) -> None:
        self._decoder = RecordDecoder()
        self._bytes = _Bytes(answer.live, settings)

    async def __aiter__(self) -> AsyncIterator[ExchangeRecord]:
        while (data := await self._bytes.next()) is not None:
            for record in self._decoder.feed(data):
                yield record

    async def close(self) -> None:
        await self._bytes.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
