"""Keeps the lists of models of wildcard providers up to date, in the background.

Each provider has a task that asks for its list, and again after the interval. A list that cannot be fetched does not
remove the previous one. Neither the start nor a request waits for a list.

A list that no client reads can wait: it is fetched when the gateway is quiet, so that it does not compete with
requests for the limits and the connections of the provider. A list that was read since the last attempt is fetched
without this wait.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct, structs

from intellirouter.catalog import Catalog, ModelFacts, ProviderLists
from intellirouter.core import Clock, Deployment, TaskOwner, Timeouts, Upstream, VendorRow, errors
from intellirouter.fake import FAKE_MODELS
from intellirouter.providers import DiscoveredModel, discover_models

logger = logging.getLogger(__name__)

_TIMEOUT_S: Final = 60.0
"""For the whole list, over all pages."""
_TIMEOUTS: Final = Timeouts(connect_s=5.0, first_token_s=20.0, idle_s=10.0, total_s=30.0)
"""For each page."""
_FIRST_RETRY_S: Final = 10.0
_QUIET_S: Final = 2.0
"""The gateway is quiet after this time without a request."""
_QUIET_LIMIT_S: Final = 60.0
"""How long a fetch waits at most for the gateway to become quiet."""
_QUIET_STEP_S: Final = 0.1
_AT_ONCE: Final = 25
"""How many models are described before other tasks have their turn."""


class Traffic(Struct, frozen=True):
    """The requests of the gateway at one moment."""

    in_flight: int
    total: int
    """Since the start."""


class _Watch(Struct, eq=False):
    """One provider whose list is kept."""

    endpoint: Deployment
    interval_s: float
    task: "asyncio.Task[None] | None" = None
    state: str = "pending"
    """`pending`, `ok`, or `unavailable`: the last attempt failed."""
    detail: str | None = None
    updated_us: int | None = None


class ModelLists:
    """One per gateway. Call `apply` and `stop` on the event loop."""

    def __init__(
        self,
        upstream: Upstream,
        lists: ProviderLists,
        vendors: Mapping[str, VendorRow],
        clock: Clock,
        rng: random.Random,
        *,
        traffic: Callable[[], Traffic],
    ) -> None:
        self._traffic = traffic
        self._upstream = upstream
        self._lists = lists
        self._vendors = vendors
        self._clock = clock
        self._rng = rng
        self._owner = TaskOwner("model lists")
        self._watches: dict[str, _Watch] = {}
        self._fake_lists: set[str] = set()
        """The providers whose models need not be fetched."""
        self._catalog: Catalog | None = None

    def apply(self, catalog: Catalog, interval_s: float | None) -> None:
        """Keep the lists of the wildcard providers of this configuration. None: keep no lists."""
        self._catalog = catalog
        endpoints = [catalog.endpoint_of(name) for name in catalog.wildcard_providers if interval_s is not None]
        wanted = {each.provider: each for each in endpoints if self._vendors[each.vendor].transport == "http"}
        for provider in self._watches.keys() - wanted.keys():
            self._stop(provider)
            self._lists.remove(provider)
        self._list_fake_models(catalog, endpoints)
        for provider, endpoint in wanted.items():
            assert interval_s is not None  # noqa: S101 - otherwise none is wanted
            watch = self._watches.get(provider)
            if watch is not None and _is_same(watch.endpoint, endpoint) and watch.interval_s == interval_s:
                continue
            if watch is not None:
                self._stop(provider)
                if not _is_same(watch.endpoint, endpoint):
                    self._lists.remove(provider)
            watch = self._watches[provider] = _Watch(endpoint, interval_s)
            watch.task = self._owner.start(self._keep(provider, watch), provider)

    def _list_fake_models(self, catalog: Catalog, endpoints: list[Deployment]) -> None:
        """List the fake models of these providers. They are known, so nothing has to be fetched."""
        wanted = {
            each.provider
            for each in endpoints
            if self._vendors[each.vendor].transport == "fake" and catalog.is_listed(each.provider)
        }
        for provider in self._fake_lists - wanted:
            self._lists.remove(provider)
        for provider in wanted:
            self._lists.replace(provider, [catalog.describe(provider, name, None) for name in FAKE_MODELS])
        self._fake_lists = wanted

    def views(self) -> list[dict[str, Any]]:
        """Return the state of each list, as JSON. This counts as reading the lists."""
        self._lists.reads += 1
        return [
            {
                "name": provider,
                "state": watch.state,
                "detail": watch.detail,
                "models": self._lists.count(provider),
                "updated": None if watch.updated_us is None else _iso(watch.updated_us),
            }
            for provider, watch in self._watches.items()
        ]

    async def stop(self) -> None:
        await self._owner.stop()

    def _stop(self, provider: str) -> None:
        task = self._watches.pop(provider).task
        if task is not None:
            task.cancel()

    async def _keep(self, provider: str, watch: _Watch) -> None:
        endpoint = _listing_endpoint(watch.endpoint)
        failures = reads = 0
        while True:
            await self._wait_until_quiet(reads)
            reads = self._lists.reads
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    found = await discover_models(self._upstream, endpoint)
            except (errors.GatewayError, TimeoutError) as error:
                failures += 1
                self._note_failure(provider, watch, error)
            else:
                failures = 0
                self._lists.replace(provider, await self._described(provider, found))
                watch.state, watch.detail, watch.updated_us = "ok", None, self._clock.epoch_us()
            await asyncio.sleep(delay_s(watch.interval_s, failures, self._rng))

    async def _wait_until_quiet(self, reads: int) -> None:
        """Wait until no client has sent a request for a while, or until the lists were read more than `reads` times."""
        waited_s = quiet_s = 0.0
        before = self._traffic()
        while self._lists.reads == reads and quiet_s < _QUIET_S and waited_s < _QUIET_LIMIT_S:
            await asyncio.sleep(_QUIET_STEP_S)
            now = self._traffic()
            quiet_s = quiet_s + _QUIET_STEP_S if now == before and now.in_flight == 0 else 0.0
            waited_s += _QUIET_STEP_S
            before = now

    async def _described(self, provider: str, found: tuple[DiscoveredModel, ...]) -> list[ModelFacts]:
        catalog = self._catalog
        assert catalog is not None  # noqa: S101 - `apply` has set it
        facts: list[ModelFacts] = []
        for start in range(0, len(found), _AT_ONCE):
            some = found[start : start + _AT_ONCE]
            facts += [catalog.describe(provider, model.id, model.context_tokens) for model in some]
            await asyncio.sleep(0)
        return facts

    def _note_failure(self, provider: str, watch: _Watch, error: errors.GatewayError | TimeoutError) -> None:
        if isinstance(error, errors.GatewayError):
            detail = error.full_message.removeprefix(f"{provider}: ")
        else:
            detail = f"The provider did not list its models within {_TIMEOUT_S:g} s."
        if watch.detail != detail:  # once for each cause
            kept = " The previous list is kept." if self._lists.count(provider) else ""
            logger.warning("The models of the provider %s are not listed. %s%s", provider, detail, kept)
        watch.state, watch.detail = "unavailable", detail


def delay_s(interval_s: float, failures: int, rng: random.Random) -> float:
    """Return the time until the next attempt: the interval, or less after failures, with jitter."""
    limit = interval_s if failures == 0 else min(interval_s, _FIRST_RETRY_S * 2.0 ** min(failures - 1, 20))
    return limit * rng.uniform(0.8, 1.0)


def _listing_endpoint(endpoint: Deployment) -> Deployment:
    """Return the endpoint with a rotation of its credentials that requests to models do not share.

    Some credentials may call models but not list them. That must not put them into cooldown.
    """
    return structs.replace(endpoint, provider=f"{endpoint.provider} (list of models)", timeouts=_TIMEOUTS)


def _is_same(one: Deployment, other: Deployment) -> bool:
    """Return whether both endpoints list the same models."""
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("vendor", "address", "credentials", "dialects", "auth", "region")
    )


def _iso(epoch_us: int) -> str:
    return datetime.fromtimestamp(epoch_us / 1e6, UTC).isoformat(timespec="seconds")
