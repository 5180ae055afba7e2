"""The blocking driver: runs the shared flow over httpx."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from intellirouter.client import calls, errors, replies, transport
from intellirouter.client.calls import Messages, Outgoing
from intellirouter.client.flow import Answer, Failed, Outcome, Send, exchange
from intellirouter.client.settings import Settings, settings_from
from intellirouter.client.stream import ChatDecoder, RecordDecoder
from intellirouter.core import ExchangeRecord


class Client:
    """A connection to one gateway. Safe to share between threads; close it, or use it as a context manager."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 600,
        max_retries: int = 2,
    ) -> None:
        """Connect to `base_url`, else to INTELLIROUTER_BASE_URL, else to http://127.0.0.1:8080.

        The key is `api_key`, else INTELLIROUTER_API_KEY, else none. `timeout_s` is the longest silence the client
        bears. 408, 409, 429, 5xx and connections that cannot be made are tried again up to `max_retries` times.
        """
        self._settings = settings_from(base_url, api_key, timeout_s, max_retries)
        self._http = httpx.Client(**transport.client_options(self._settings))

    @property
    def base_url(self) -> str:
        return self._settings.base_url

    def chat(self, messages: Messages, *, model: str = "auto", **fields: Any) -> replies.ChatReply:
        """Ask and wait for the whole answer. `fields` are any of OpenAI's: temperature, tools, response_format, …

        Raises `IntelliRouterError`.
        """
        return replies.chat(self._ask(calls.chat(messages, model, fields)))

    def stream(self, messages: Messages, *, model: str = "auto", **fields: Any) -> "ChatStream":
        """Ask and return once the answer begins; iterate over the result for its pieces.

        Raises `IntelliRouterError` here while there is no answer yet, and from the iteration if it breaks off.
        """
        answer = self._ask(calls.stream(messages, model, fields))
        return ChatStream(answer, self._settings)

    def embeddings(self, text: str | Sequence[str], model: str, **fields: Any) -> replies.EmbeddingsReply:
        return replies.embeddings(self._ask(calls.embeddings(text, model, fields)))

    def models(self) -> list[replies.ModelInfo]:
        return replies.models(self._ask(calls.MODELS))

    def explain(self, messages: Messages, model: str = "auto", **fields: Any) -> replies.Explanation:
        """Ask which deployments would serve this request, in which order and why. Calls no model."""
        return replies.explanation(self._ask(calls.explain(messages, model, fields)))

    def request(self, request_id: str) -> ExchangeRecord:
        return replies.record(self._ask(calls.request(request_id)))

    def requests(self, **filters: Any) -> replies.RequestPage:
        """Return finished exchanges, newest first. `filters`: limit, before, model, deployment, errors=True."""
        return replies.page(self._ask(calls.requests(filters)))

    def tail(self) -> "RecordFeed":
        """Follow exchanges as they finish, until closed."""
        return RecordFeed(self._ask(calls.TAIL), self._settings)

    def health(self) -> replies.Health:
        """Return the gateway's report, also when it says `unhealthy`."""
        return replies.health(self._ask(calls.HEALTH))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, request: Outgoing) -> Answer:
        steps = exchange(request, self._settings.max_retries)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as ended:
                answer: Answer = ended.value
                return answer
            if isinstance(step, Send):
                outcome = self._send(step.request)
            else:
                time.sleep(step.delay_s)
                outcome = None

    def _send(self, request: Outgoing) -> Answer | Failed:
        built = self._http.build_request(**transport.request_options(request, self._settings))
        try:
            response = self._http.send(built, stream=request.is_stream)
            if request.is_stream and response.status_code < 400:
                answer = transport.answer(response, b"")
                answer.live = response
                return answer
            return transport.answer(response, response.read())
        except httpx.RequestError as error:
            return transport.failed(error, self._settings)


class _Bytes:
    """The bytes of an open response, with failures in our words."""

    def __init__(self, response: httpx.Response, settings: Settings) -> None:
        self._response = response
        self._settings = settings
        self._chunks = response.iter_bytes()

    def next(self) -> bytes | None:
        """Return the next bytes, None at the end."""
        try:
            return next(self._chunks, None)
        except httpx.RequestError as error:
            raise transport.explained(error, self._settings) from error

    def close(self) -> None:
        self._response.close()


class ChatStream:
    """An answer in pieces. Leaving the `with` block, or `close`, before the end aborts the request."""

    def __init__(self, answer: Answer, settings: Settings) -> None:
        self._decoder = ChatDecoder(replies.route(answer.headers))
        self._bytes = _Bytes(answer.live, settings)
        self._ready: deque[replies.Delta | errors.IntelliRouterError] = deque()
        self._is_closed = False

    @property
    def route(self) -> replies.Route:
        """Request id, deployment, strategy and reason, known from the start."""
        return self._decoder.route

    def reply(self) -> replies.ChatReply:
        """Read what is left and return the whole as one answer; after `close`, what had arrived."""
        for _ in self:
            pass
        return self._decoder.reply()

    def __iter__(self) -> Iterator[replies.Delta]:
        return self

    def __next__(self) -> replies.Delta:
        while not self._ready:
            if self._is_closed:
                raise StopIteration
            self._read()
        piece = self._ready.popleft()
        if isinstance(piece, errors.IntelliRouterError):
            raise piece
        return piece

    def _read(self) -> None:
        """Take the next bytes. The end is awaited even after the last event: leaving early would look like an abort."""
        try:
            data = self._bytes.next()
            if data is not None:
                self._ready.extend(self._decoder.feed(data))
                return
            self._decoder.end()
        except errors.IntelliRouterError:
            self.close()
            if not self._decoder.is_done:
                raise
        self.close()

    def close(self) -> None:
        """Stop reading. Before the end this aborts the request; harmless after it."""
        self._is_closed = True
        self._bytes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RecordFeed:
    """Records of exchanges as they finish. Iterate, and close it."""

    def __init__(self, answer: Answer, settings: Settings) -> None:
        self._decoder = RecordDecoder()
        self._bytes = _Bytes(answer.live, settings)

    def __iter__(self) -> Iterator[ExchangeRecord]:
        while (data := self._bytes.next()) is not None:
            yield from self._decoder.feed(data)

    def close(self) -> None:
        self._bytes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
