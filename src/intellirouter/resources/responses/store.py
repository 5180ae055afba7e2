"""Stores responses: the response object together with its input items."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Clock, OffLoop, errors, is_large
from intellirouter.dialects import responses_storage
from intellirouter.resources.object_store import AsyncObjectStore
from intellirouter.store import StoredObject

_KIND: Final = "response"
_RETENTION_US: Final = 30 * 86_400_000_000
UNFINISHED: Final = ("queued", "in_progress")


class StoredResponse(Struct):
    """A response with its input."""

    response: msgspec.Raw
    input: list[Any]
    """All input items, including the history of the conversation."""

    def with_response(self, response: bytes) -> "StoredResponse":
        return StoredResponse(msgspec.Raw(response), self.input)


_decode: Final = msgspec.json.Decoder(StoredResponse)


class ResponseStore:
    """Stores responses by tenant. Its methods raise `Overloaded` if the database is unavailable."""

    def __init__(self, objects: AsyncObjectStore, clock: Clock, off_loop: OffLoop) -> None:
        self._objects = objects
        self._clock = clock
        self._off_loop = off_loop

    async def get(self, tenant: str, response_id: str) -> tuple[str, StoredResponse] | None:
        """Return the status and content of a response; None if it does not exist or belongs to another tenant."""
        found = await self._objects.call(self._objects.store.get, _KIND, response_id, tenant, self._clock.epoch_us())
        if found is None or found.content is None:
            return None
        content = found.content
        if is_large(content):
            return found.status, await self._off_loop.run(len(content), lambda: _decode.decode(content))
        return found.status, _decode.decode(content)

    async def save(self, tenant: str, response_id: str, status: str, stored: StoredResponse) -> None:
        now_us = self._clock.epoch_us()
        # The input may be large, whatever the size of the response is.
        content = await self._off_loop.run(memoryview(stored.response).nbytes, lambda: msgspec.json.encode(stored))
        await self._objects.call(
            self._objects.store.put,
            StoredObject(
                kind=_KIND,
                id=response_id,
                tenant=tenant,
                created_us=now_us,
                expires_us=now_us + _RETENTION_US,
                status=status,
                content=content,
            ),
        )

    async def delete(self, tenant: str, response_id: str) -> bool:
        """Delete a response. Returns whether it existed."""
        return await self._objects.call(self._objects.store.delete, _KIND, response_id, tenant)

    async def abandoned(self) -> list[tuple[str, str]]:
        """Return tenant and id of the responses that other processes, which have ended, left unfinished. May wait."""
        return [(each.tenant, each.id) for each in await self._objects.abandoned(_KIND, UNFINISHED)]

    async def history(self, tenant: str, response_id: str) -> list[Any]:
        """Return the items of a conversation up to and including this response.

        Raises `InvalidRequest` if the response does not exist or is not finished.
        """
        found = await self.get(tenant, response_id)
        if found is None:
            raise errors.InvalidRequest(
                f"Previous response with id '{response_id[:100]}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        status, stored = found
        if status in UNFINISHED:
            raise errors.InvalidRequest(
                f"Previous response '{response_id[:100]}' is still in progress.", param="previous_response_id"
            )
        response = bytes(stored.response)
        if is_large(response):
            output = await self._off_loop.run(len(response), lambda: responses_storage.output_items(response))
        else:
            output = responses_storage.output_items(response)
        return [*stored.input, *output]
