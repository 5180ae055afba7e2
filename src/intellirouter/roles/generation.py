"""Builds generations: everything that one configuration determines, so that a reload replaces it as a whole.

Requests in flight keep the generation in which they began. Settings that cannot change while the process is running,
such as the address and the store, keep the values of the start. They are reported as pending until a restart.
"""

import random
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct, field, structs

from intellirouter.cache import SharedCache
from intellirouter.catalog import Catalog, HealthBoard, PriceList, ProviderLists
from intellirouter.config import Runtime
from intellirouter.core import (
    AnswerBudget,
    Clock,
    CredentialRotator,
    ExchangeRecord,
    Journal,
    OffLoop,
    ReasoningMemory,
    SocketUpstream,
    Upstream,
    VendorRow,
)
from intellirouter.dialects import Dialects
from intellirouter.governance import BrowserAccess, KeyRing
from intellirouter.pipeline import Attempts, BodyLog, CacheStage, Generation, Hedging, Parts, Spine, Stages
from intellirouter.providers import UrlFetcher
from intellirouter.resilience import Backoff
from intellirouter.resources import PinStage
from intellirouter.routing import Placements, Router, StrategyRow

_FIXED_SETTINGS: Final = {"server": ("host", "port", "role", "unix_socket"), "host": ("cache_dir", "run_dir")}
"""Settings by section that take effect only when the process starts, like all settings of `store`."""


class Registries(Struct, frozen=True, kw_only=True):
    """The vendors, dialects, strategies and stages that a configuration can use. Plugins add rows."""

    vendors: Mapping[str, VendorRow]
    dialects: Dialects
    strategies: Mapping[str, StrategyRow]
    stages: Stages


class SharedParts(Struct, frozen=True, kw_only=True):
    """Everything that generations share, because it is kept when the configuration reloads."""

    upstream: Upstream
    sockets: SocketUpstream
    credentials: CredentialRotator
    journal: Journal
    board: HealthBoard
    emit: Callable[[ExchangeRecord, str], None]
    clock: Clock
    rng: random.Random
    off_loop: OffLoop
    memory_of: Callable[[str], ReasoningMemory] | None = None
    """Returns the memory of a tenant for reasoning that clients do not send back."""
    answers: AnswerBudget | None = None
    hedging: Hedging
    cache: SharedCache | None = None
    """None disables the cache."""
    lists: ProviderLists = field(default_factory=ProviderLists)
    pins: PinStage | None = None
    """None: it is not known who has created what requests refer to."""
    placements: Placements = field(default_factory=Placements)
    """Where sessions were served last."""


class Generations:
    """Builds generations. One per process."""

    def __init__(self, started_with: Runtime, shared: SharedParts) -> None:
        self._started_with = started_with
        self._shared = shared
        self._turns: dict[str, int] = {}
        self._number = 0

    def effective(self, runtime: Runtime) -> Runtime:
        """Return the configuration, but with the values of the start for settings that only a restart can change."""
        started = self._started_with
        sections = {
            section: structs.replace(
                getattr(runtime, section), **{name: getattr(getattr(started, section), name) for name in names}
            )
            for section, names in _FIXED_SETTINGS.items()
        }
        return structs.replace(runtime, **sections, store=started.store)

    def pending_restart(self, runtime: Runtime) -> tuple[str, ...]:
        """Return the settings that have changed since the start and take effect only after a restart."""
        started = self._started_with
        changed = [
            f"{section}.{name}"
            for section, names in _FIXED_SETTINGS.items()
            for name in names
            if getattr(getattr(runtime, section), name) != getattr(getattr(started, section), name)
        ]
        if (runtime.server.tls_cert_file is None) != (started.server.tls_cert_file is None):
            changed.append("server.tls_cert_file")
        return (*changed, *(["store"] if runtime.store != started.store else []))

    def build(self, runtime: Runtime, prices: PriceList, registries: Registries) -> Generation:
        """Return the generation of this configuration, without using it yet."""
        effective, shared = self.effective(runtime), self._shared
        sticky = [name for name, row in registries.strategies.items() if row.stickiness is not None]
        catalog = Catalog(effective, registries.vendors, prices, shared.lists, sticky_strategies=sticky)
        keys = KeyRing(effective.keys, is_required=effective.is_auth_required)
        browsers = BrowserAccess(effective.server, keys)
        self._number += 1
        return Generation(
            number=self._number,
            runtime=effective,
            catalog=catalog,
            dialects=registries.dialects,
            keys=keys,
            spine=Spine(
                effective, catalog, self._parts(effective, registries), self._stages(effective, registries, catalog)
            ),
            clock=shared.clock,
            browsers=browsers if browsers.is_needed else None,
            pending_restart=self.pending_restart(runtime),
        )

    def _parts(self, runtime: Runtime, registries: Registries) -> Parts:
        shared = self._shared
        backoff = Backoff(runtime.backoff.base_s, runtime.backoff.max_s)
        return Parts(
            upstream=shared.upstream,
            sockets=shared.sockets,
            journal=shared.journal,
            attempts=Attempts(
                board=shared.board,
                backoff=backoff,
                clock=shared.clock,
                rng=shared.rng,
                credentials=shared.credentials,
                hedging=shared.hedging,
            ),
            router=Router(registries.strategies, shared.board, shared.rng, self._turns),
            emit=shared.emit,
            clock=shared.clock,
            fetcher=UrlFetcher(runtime.server.fetch_allow, proxies=runtime.environment_proxies, trust=runtime.trust),
            off_loop=shared.off_loop,
            answers=shared.answers,
            placements=shared.placements,
            memory_of=shared.memory_of if runtime.reasoning_memory.enabled else None,
        )

    def _stages(self, runtime: Runtime, registries: Registries, catalog: Catalog) -> Stages:
        stages, shared = registries.stages, self._shared
        if shared.pins is not None and catalog.has_several_accounts:
            # After the stage that inserts the history of a conversation, which may refer to something.
            stages = structs.replace(
                stages, request=(*stages.request, shared.pins), answer=(*stages.answer, shared.pins)
            )
        if runtime.cache.is_used and shared.cache is not None:
            cache = CacheStage(
                runtime.cache,
                shared.cache,
                shared.clock,
                shared.off_loop,
                names_requested_model=runtime.answers.names_requested_model,
                codecs=registries.dialects.upstreams,
            )
            stages = structs.replace(
                stages, sources=(*stages.sources, cache), answer=(*stages.answer, cache), rescues=(cache,)
            )
        return structs.replace(stages, answer=(*stages.answer, BodyLog())) if runtime.logs_bodies else stages
