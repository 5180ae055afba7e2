"""The object store, for the event loop: calls go to worker threads and wait a little while the database is opened."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, ParamSpec, TypeVar

from msgspec import Struct

from intellirouter.core import Clock, errors
from intellirouter.store import ObjectStore, StoredObject, StoreUnavailable

_PATIENCE_S: Final = 10.0
"""Opening the database after a start takes a second or two, more on a busy machine."""
_POLL_S: Final = 0.1
_RETRY_S: Final = 1.0
_DELETED_AT_ONCE: Final = 500
_PIECE_BYTES: Final = 1024 * 1024

T = TypeVar("T")
P = ParamSpec("P")


class PageQuery(Struct, frozen=True, kw_only=True):
    """Which page of a list is wanted."""

    limit: int
    after: str = ""
    is_ascending: bool = False


class KeptObjects:
    """One per gateway."""

    def __init__(self, objects: ObjectStore, clock: Clock) -> None:
        self.store = objects
        self._clock = clock

    async def do(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do one call of the store for somebody who waits. Raises `Overloaded` when the database stays away."""
        deadline_s = self._clock.monotonic_s() + _PATIENCE_S
        while True:
            try:
                return await asyncio.to_thread(call, *arguments, **named)
            except StoreUnavailable as error:
                if self._clock.monotonic_s() >= deadline_s:
                    raise errors.Overloaded(str(error), code="store_unavailable", hint="Try again shortly.") from error
            await asyncio.sleep(_POLL_S)

    async def do_at_last(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do one call of the store for work that can wait until the database is back."""
        while True:
            try:
                return await asyncio.to_thread(call, *arguments, **named)
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)

    async def parts(self, kind: str, owner: str, tenant: str, *, can_wait: bool = True) -> AsyncIterator[StoredObject]:
        """Go through an object's parts, whole, in order; about a mebibyte is in memory at once.

        Raises `Overloaded` when it cannot wait and the database stays away.
        """
        after = ""
        do = self.do_at_last if can_wait else self.do
        while found := await do(self.store.parts, kind, owner, tenant, after, _PIECE_BYTES):
            for each in found:
                yield each
            after = found[-1].id

    async def part_marks(self, kind: str, owner: str, tenant: str) -> AsyncIterator[StoredObject]:
        """Go through an object's parts, without their content, in order."""
        after = ""
        while found := await self.do_at_last(self.store.part_marks, kind, owner, tenant, after):
            for each in found:
                yield each
            after = found[-1].id

    async def delete_parts(self, kind: str, owner: str, tenant: str) -> None:
        """Delete an object's parts, some at a time, so that other writers need not wait."""
        while await self.do_at_last(self.store.delete_parts, kind, owner, tenant, _DELETED_AT_ONCE):
            pass

    async def page(
        self, kind: str, tenant: str, query: PageQuery, wanted: Callable[[StoredObject], bool]
    ) -> tuple[list[StoredObject], bool]:
        """Return a page of the wanted objects, and whether there are more."""
        found: list[StoredObject] = []
        after, now_us = query.after, self._clock.epoch_us()
        while True:
            # One more than asked for tells whether there are more.
            listed = await self.do(
                self.store.page,
                kind,
                tenant,
                now_us,
                limit=query.limit + 1,
                after=after,
                is_ascending=query.is_ascending,
            )
            found += [each for each in listed if wanted(each)]
            if len(found) > query.limit or not listed:
                return found[: query.limit], len(found) > query.limit
            after = listed[-1].id
