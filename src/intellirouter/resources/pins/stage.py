"""The stage that finds out who has created what a request refers to, and remembers who creates what answers contain."""

from typing import Final

from intellirouter.core import Call, Deployment, OffLoop, Pin, Reference
from intellirouter.dialects import (
    NO_IDS,
    VendorIds,
    created_in,
    ids_in_request,
    ids_in_response,
    may_create_ids,
    may_have_ids,
    responses_storage,
)
from intellirouter.pipeline import AnswerTap, Decoded, Exchange
from intellirouter.resources.last_event import LastEvent
from intellirouter.resources.pins.store import PinStore

_MAX_CREATED: Final = 32
_RESPONSES: Final = "openai_responses"
_TOKEN_LABEL: Final = "encrypted reasoning"  # noqa: S105 - no password


class PinStage:
    """Implements `RequestStage` and `AnswerStage`. It does nothing for models whose deployments share a credential."""

    dialects: Final = frozenset({_RESPONSES, "openai_chat", "anthropic_messages", "gemini"})

    def __init__(self, store: PinStore, off_loop: OffLoop) -> None:
        self._store = store
        self._off_loop = off_loop

    async def prepare(self, exchange: Exchange, request: Decoded) -> Decoded:
        """Note in the exchange what the request refers to, and who has created it."""
        call = request.call
        if request.resolved.has_one_account or not may_have_ids(call):
            return request
        if call.is_large:
            ids = await self._off_loop.run(len(call.body), lambda: ids_in_request(call))
        else:
            ids = ids_in_request(call)
        if not ids:
            return request
        exchange.vendor_ids = ids
        tenant = exchange.identity.tenant
        if ids.objects and (found := await self._store.find(tenant, ids.objects)) is not None:
            exchange.reference = Reference(found[1], f"'{found[0][:100]}'")
        elif ids.tokens and (found := await self._store.find(tenant, ids.tokens)) is not None:
            exchange.reference = Reference(found[1], _TOKEN_LABEL, is_required=False)
        return request

    def tap(self, exchange: Exchange, request: Decoded) -> AnswerTap | None:
        """Return the tap that remembers what the answer creates, and what the request has used successfully."""
        if request.resolved.has_one_account:
            return None
        creates = may_create_ids(request.call)
        if not creates and not exchange.vendor_ids:
            return None
        return PinTap(self._store, request.call, self._off_loop, reads_answer=creates)


class PinTap:
    """Implements `pipeline.AnswerTap`."""

    def __init__(self, store: PinStore, call: Call, off_loop: OffLoop, *, reads_answer: bool) -> None:
        self._store = store
        self._call = call
        self._off_loop = off_loop
        self._reads_answer = reads_answer
        self._last = LastEvent(is_stream=call.is_stream)
        self._created: list[str] = []

    def take(self, data: bytes) -> None:
        if not self._reads_answer:
            return
        if self._call.dialect == _RESPONSES:
            self._last.take(data)
        elif len(self._created) < _MAX_CREATED:
            self._created += created_in(data, self._call.dialect)

    async def finish(self, exchange: Exchange) -> None:
        deployment = exchange.deployment
        if exchange.error is not None or deployment is None or exchange.answered_by is not None:
            return
        ids = exchange.vendor_ids or NO_IDS
        names = [*ids.objects, *ids.tokens[-1:], *self._created]
        if self._reads_answer and self._call.dialect in deployment.dialects:
            created = await self._ids_in_response()
            names += [*created.objects, *created.tokens[-1:]]
        if names:
            await self._store.note(exchange.identity.tenant, names, _pin_of(exchange, deployment))

    async def _ids_in_response(self) -> VendorIds:
        """Return what the response has created, if it is one of the Responses API."""
        if self._call.dialect != _RESPONSES or (response := self._last.response()) is None:
            return NO_IDS
        is_stored = responses_storage.request_of(self._call).store is not False
        return await self._off_loop.run(len(response), lambda: ids_in_response(response, is_stored=is_stored))

    def fail(self, exchange: Exchange, error: BaseException) -> None:
        """Do nothing: a request that has failed shows nothing."""


def _pin_of(exchange: Exchange, deployment: Deployment) -> Pin:
    served = next((each for each in reversed(exchange.attempts) if each.outcome == "ok"), None)
    fingerprint = "" if served is None else served.credential
    if not fingerprint and deployment.credentials:
        fingerprint = deployment.credentials[0].fingerprint
    return Pin(deployment.provider, deployment.name, fingerprint)
