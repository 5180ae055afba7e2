"""Stores who has created what. It is kept in the database, so that a restart loses nothing."""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from intellirouter.core import Clock, Pin
from intellirouter.resources.object_store import AsyncObjectStore
from intellirouter.store import StoredObject, StoreUnavailable

logger = logging.getLogger(__name__)

_KIND: Final = "pin"
_RETENTION_US: Final = 30 * 86_400_000_000
_RENEWED_AFTER_US: Final = 86_400_000_000
_MAX_REMEMBERED: Final = 8192
_MAX_LOOKED_UP: Final = 8
"""How many ids of one request are looked up in the database: the last ones, and all of them at once."""

_decode: Final = msgspec.json.Decoder(Pin).decode


class PinStore:
    """One per gateway. The last pins are in memory as well."""

    def __init__(self, objects: AsyncObjectStore, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._recent: OrderedDict[tuple[str, str], tuple[Pin, int]] = OrderedDict()
        """By tenant and digest: the pin, and when it was stored."""

    async def find(self, tenant: str, ids: Sequence[str]) -> tuple[str, Pin] | None:
        """Return the last one of these ids that is known, with its pin; None if none of them is.

        Raises `Overloaded` if they are not in memory and the database is unavailable: another credential would be
        wrong.
        """
        latest_first = ids[::-1][:_MAX_LOOKED_UP]
        for each in latest_first:
            if (recent := self._recent.get((tenant, _digest(each)))) is not None:
                return each, recent[0]
        stored = await self._objects.call(self._read, tenant, latest_first)
        if stored is None:
            return None
        name, pin, stored_us = stored
        self._remember((tenant, _digest(name)), pin, stored_us)
        return name, pin

    async def note(self, tenant: str, ids: Iterable[str], pin: Pin) -> None:
        """Remember who has created these ids. If the database cannot be written, only until the gateway stops."""
        now_us = self._clock.epoch_us()
        new: list[StoredObject] = []
        for each in ids:
            key = (tenant, _digest(each))
            known, stored_us = self._recent.get(key, (None, 0))
            if known == pin and now_us - stored_us < _RENEWED_AFTER_US:
                continue
            self._remember(key, pin, now_us)
            new.append(
                StoredObject(
                    kind=_KIND,
                    id=key[1],
                    tenant=tenant,
                    created_us=now_us,
                    expires_us=now_us + _RETENTION_US,
                    content=msgspec.json.encode(pin),
                )
            )
        if not new:
            return
        try:
            await asyncio.to_thread(self._objects.store.put_all, new)
        except StoreUnavailable as error:
            logger.warning("Who has created what an answer refers to could not be stored. %s", error)

    def _read(self, tenant: str, ids: Sequence[str]) -> tuple[str, Pin, int] | None:
        now_us = self._clock.epoch_us()
        for each in ids:
            found = self._objects.store.get(_KIND, _digest(each), tenant, now_us)
            if found is not None and found.content is not None:
                return each, _decode(found.content), found.created_us
        return None

    def _remember(self, key: tuple[str, str], pin: Pin, stored_us: int) -> None:
        self._recent[key] = pin, stored_us
        self._recent.move_to_end(key)
        if len(self._recent) > _MAX_REMEMBERED:
            self._recent.popitem(last=False)


def _digest(name: str) -> str:
    return hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=16).hexdigest()
