"""`/v1/responses/{id}`: retrieve, delete, cancel, input items.

The gateway stores the responses of every upstream itself, so that a conversation can continue with another upstream.
Responses belong to a tenant and are deleted after 30 days.
Source: OpenAI API reference, "Responses".
"""

import asyncio
from typing import Any, Final

from intellirouter.core import errors
from intellirouter.dialects import responses_storage
from intellirouter.governance import Identity
from intellirouter.resources.pages import Page
from intellirouter.resources.resource import ResourceRequest, is_ascending, json_page, page_size
from intellirouter.resources.responses.background import BackgroundResponses
from intellirouter.resources.responses.store import ResponseStore, StoredResponse

PREFIX: Final = "/v1/responses/"


class Responses:
    """Implements `Resource`."""

    json_paths: Final[frozenset[str]] = frozenset()

    def __init__(self, store: ResponseStore, background: BackgroundResponses) -> None:
        self._store = store
        self._background = background

    def allowed(self, path: str) -> str:
        if not path.startswith(PREFIX):
            return ""
        response_id, _, rest = path.removeprefix(PREFIX).partition("/")
        if not response_id:
            return ""
        return {"": "GET, DELETE", "cancel": "POST", "input_items": "GET"}.get(rest, "")

    async def serve(self, request: ResourceRequest) -> Page:
        response_id, _, rest = request.path.removeprefix(PREFIX).partition("/")
        tenant = request.identity.tenant
        if request.method == "DELETE":
            await self._end(tenant, response_id)
            if not await self._store.delete(tenant, response_id):
                raise _missing(response_id)
            return json_page({"id": response_id, "object": "response", "deleted": True})
        if rest == "cancel":
            return await self._cancel(request.identity, response_id)
        stored = await self._get(request.identity, response_id)
        if rest == "input_items":
            return json_page(_items_page(stored, request.query))
        return json_page(stored.response)

    async def _get(self, identity: Identity, response_id: str) -> StoredResponse:
        found = await self._store.get(identity.tenant, response_id)
        if found is None:
            raise _missing(response_id)
        return found[1]

    async def _cancel(self, identity: Identity, response_id: str) -> Page:
        stored = await self._get(identity, response_id)
        if not responses_storage.is_background(bytes(stored.response)):
            raise errors.InvalidRequest("Only a response that was created with `background: true` can be canceled.")
        await self._end(identity.tenant, response_id)
        return json_page((await self._get(identity, response_id)).response)

    async def _end(self, tenant: str, response_id: str) -> None:
        """Cancel the response if it is running, and wait until its last state is stored."""
        if (task := self._background.cancel(tenant, response_id)) is not None:
            await asyncio.wait([task])


def _items_page(stored: StoredResponse, query: dict[str, str]) -> dict[str, Any]:
    items = stored.input if is_ascending(query) else stored.input[::-1]
    ids = [item.get("id") if isinstance(item, dict) else None for item in items]
    after = query.get("after")
    start = ids.index(after) + 1 if after in ids and after is not None else 0
    page = items[start : start + page_size(query)]
    first, last = (ids[start], ids[start + len(page) - 1]) if page else (None, None)
    return {
        "object": "list",
        "data": page,
        "first_id": first,
        "last_id": last,
        "has_more": start + len(page) < len(items),
    }


def _missing(response_id: str) -> errors.NotFound:
    return errors.NotFound(f"Response with id '{response_id[:100]}' not found.", code="response_not_found")
