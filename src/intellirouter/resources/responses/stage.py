"""The stage of the Responses API: inserts the history, starts background responses, and stores responses.

Source: OpenAI API reference, "Responses".
"""

import logging
from abc import ABC, abstractmethod
from typing import Any, Final

import msgspec
from msgspec import structs

from intellirouter.core import Call, OffLoop, errors, is_large
from intellirouter.dialects import responses_storage
from intellirouter.pipeline import AnswerTap, Decoded, Exchange, StageAnswer
from intellirouter.resources.last_event import LastEvent
from intellirouter.resources.responses.background import BackgroundResponses, Job
from intellirouter.resources.responses.store import ResponseStore, StoredResponse

logger = logging.getLogger(__name__)


class ResponsesStage:
    """Implements the three kinds of `pipeline` stages for clients of the Responses API."""

    dialects: Final = frozenset({"openai_responses"})

    def __init__(self, store: ResponseStore, background: BackgroundResponses, off_loop: OffLoop) -> None:
        self._store = store
        self._background = background
        self._off_loop = off_loop

    async def prepare(self, exchange: Exchange, request: Decoded) -> Decoded:
        """Replace `previous_response_id` by the history. Raises `InvalidRequest` for an unknown response."""
        call = request.call
        previous = responses_storage.request_of(call).previous_response_id
        if not previous:
            return request
        items = await self._store.history(exchange.identity.tenant, previous)
        context = structs.replace(call.context, previous_response_id=previous)
        endpoint, body = exchange.endpoint, call.body
        # The history may be large even if the request is not.
        continued = await self._off_loop.run(
            len(body), lambda: endpoint.decode_request(responses_storage.with_history(body, items), context)
        )
        continued.is_large = is_large(continued.body)
        return Decoded(continued, request.resolved)

    async def answer(self, exchange: Exchange, request: Decoded) -> StageAnswer | None:
        """Answer `background: true` with the queued response. Raises `InvalidRequest` with `store: false`.

        Streams do not run in the background.
        """
        call = request.call
        if not _is_background(request):
            return None
        if responses_storage.request_of(call).store is False:
            raise errors.InvalidRequest(
                "A background response must be stored.", param="store", hint="Remove `store: false` from the request."
            )
        queued = await self._background.begin(exchange, call)
        exchange.is_handed_over = True
        return StageAnswer(source="queue", body=queued)

    def tap(self, exchange: Exchange, request: Decoded) -> AnswerTap | None:
        """Return the tap that stores the response; None if the client sent `store: false`."""
        call = request.call
        if call.operation != "chat" or _is_background(request) or responses_storage.request_of(call).store is False:
            return None
        job = self._background.job_of(exchange.request_id)
        if job is not None:
            return BackgroundTap(self._background, job, is_stream=call.is_stream)
        items = None if call.is_large else responses_storage.input_items(call.body)
        return StoringTap(self._store, call, items, self._off_loop)


def _is_background(request: Decoded) -> bool:
    call = request.call
    return call.operation == "chat" and not call.is_stream and responses_storage.request_of(call).background is True


class ResponseTap(ABC):
    """Implements `pipeline.AnswerTap`: finds the response object in the answer or in the last event of the stream."""

    def __init__(self, *, is_stream: bool) -> None:
        self._last = LastEvent(is_stream=is_stream)

    def take(self, data: bytes) -> None:
        self._last.take(data)

    async def finish(self, exchange: Exchange) -> None:
        if (response := self._last.response()) is None:
            return
        try:
            await self.save(exchange, response)
        except errors.GatewayError as error:  # the client receives its response even if it cannot be stored
            logger.warning("%s: The response could not be stored. %s", exchange.request_id, error.full_message)

    def fail(self, exchange: Exchange, error: BaseException) -> None:  # noqa: B027 - it is complete
        """Do nothing: an answer that is not complete is not stored."""

    @abstractmethod
    async def save(self, exchange: Exchange, response: bytes) -> None:
        """Store the response object. Raises `Overloaded`."""


class StoringTap(ResponseTap):
    """Stores the response to a client that waits for it."""

    def __init__(self, store: ResponseStore, call: Call, items: list[Any] | None, off_loop: OffLoop) -> None:
        """`items`: the input of the call; None if it is large, and so is only decoded when it is stored."""
        super().__init__(is_stream=call.is_stream)
        self._store = store
        self._call = call
        self._items = items
        self._off_loop = off_loop

    async def save(self, exchange: Exchange, response: bytes) -> None:
        response_id = responses_storage.id_of(response)
        if not response_id:
            return
        stored = StoredResponse(msgspec.Raw(response), await self._input_items())
        status = responses_storage.status_of(response)
        await self._store.save(exchange.identity.tenant, response_id, status, stored)

    async def _input_items(self) -> list[Any]:
        if self._items is not None:
            return self._items
        body = self._call.body
        return await self._off_loop.run(len(body), lambda: responses_storage.input_items(body))


class BackgroundTap(ResponseTap):
    """Stores a background response."""

    def __init__(self, background: BackgroundResponses, job: Job, *, is_stream: bool) -> None:
        super().__init__(is_stream=is_stream)
        self._background = background
        self._job = job

    async def save(self, exchange: Exchange, response: bytes) -> None:  # noqa: ARG002
        await self._background.save(self._job, response)
