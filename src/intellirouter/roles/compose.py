"""The composition root: from a compiled configuration to a running gateway. Every room is handed its parts here."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import structs

import intellirouter
from intellirouter.admin import ControlPlane, build_admin
from intellirouter.catalog import Catalog, HealthBoard
from intellirouter.config import ConfigError, Runtime
from intellirouter.core import SYSTEM_CLOCK, ExchangeRecord, Upstream, errors
from intellirouter.gateway import Gateway, OllamaPages, SocketHints, SocketPaths, is_control
from intellirouter.hosting import LocalHost, WorkerView
from intellirouter.pipeline import Parts, Spine
from intellirouter.providers import VENDORS, RotatingDialer, RotatingUpstream, UpstreamPool, UrlFetcher, WebSocketDialer
from intellirouter.resources import Batches, Files, LineRunner, StoredResponses
from intellirouter.roles.host import build_host, local_models
from intellirouter.roles.price_list import price_list
from intellirouter.roles.upstreams import HostedUpstream, SocketSwitch, UpstreamSwitch
from intellirouter.routing import Router
from intellirouter.store import ExchangeStore
from intellirouter.telemetry import CONTENT_TYPE, LiveFeed, Metrics
from intellirouter.testing import FakeProvider

logger = logging.getLogger(__name__)

_OTHER_VENDORS = frozenset(name for name, row in VENDORS.items() if row.transport != "http")
_LINES_STOP_S = 5.0
"""What lines of batches get beyond the time that requests under way have had; the next start asks the rest again."""


class GatewayProcess:
    """One gateway: everything that is started and stopped together. Build it inside a running event loop."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        on_host_event: Callable[[WorkerView], None] | None = None,
        read_again: Callable[[], Runtime] | None = None,
    ) -> None:
        """`read_again` loads and compiles the configuration anew; None where there is no file to read."""
        self._read_again = read_again
        self.runtime = runtime
        self.metrics = Metrics()
        self.feed = LiveFeed()
        self.store = ExchangeStore(runtime.store)
        self.pool = UpstreamPool()
        self.host: LocalHost = build_host(runtime, self.pool, on_host_event)
        self._board = HealthBoard()
        self._board.keep_only(frozenset(runtime.deployments))
        rng = random.Random()  # noqa: S311 - spreads load, guards nothing
        self._parts = Parts(
            upstream=self._upstreams(),
            journal=self.store,
            board=self._board,
            router=Router(self._board, rng),
            emit=self._emit,
            clock=SYSTEM_CLOCK,
            rng=rng,
            sockets=SocketSwitch(RotatingDialer(WebSocketDialer(self.pool), self.pool), _OTHER_VENDORS),
        )
        self.responses = StoredResponses(self.store.objects, SYSTEM_CLOCK)
        lines = LineRunner(lambda: self.gateway.spine, self.responses, SYSTEM_CLOCK, rng)
        self.batches = Batches(self.store.objects, SYSTEM_CLOCK, lambda: self.gateway.spine, lines)
        files = Files(self.store.objects, SYSTEM_CLOCK, lambda: self.gateway.spine.runtime)
        self.gateway = Gateway(
            self._spine(runtime),
            check_ready=self._check_ready,
            render_metrics=self._render,
            responses=self.responses,
            resources=(OllamaPages(lambda: self.gateway.spine), files, self.batches, SocketHints()),
        )
        self.sockets = SocketPaths(lambda: self.gateway.spine, self.gateway.in_flight)
        self._admin = build_admin(self._control_plane())
        self._add_gauges()

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Serve HTTP: the control plane under `/api/`, the data plane everywhere else. WebSockets are the latter's."""
        if scope["type"] == "websocket":
            return self.sockets(scope, receive, send)
        path = scope["path"]
        app = self._admin if is_control(path) else self.gateway
        return app(scope, receive, send)

    async def start(self) -> None:
        self.store.start()
        self.responses.start()
        self.batches.start()
        self.host.apply(local_models(self.runtime))

    def begin_stop(self) -> None:
        """Begin nothing that can wait for the next start, while requests under way finish."""
        self.feed.close()
        self.sockets.end()
        self.batches.pause()

    async def stop(self) -> None:
        """Close what was opened, in an order that lets the last exchanges be accounted for."""
        await self.batches.stop(_LINES_STOP_S)
        await self.responses.stop()
        await self.host.stop()
        await self.pool.close()
        await self.store.stop(timeout_s=10.0)

    async def reload(self) -> None:
        """Read the configuration again. A bad one changes nothing and says why."""
        if self._read_again is None:
            return
        try:
            runtime = await asyncio.to_thread(self._read_again)
            self.swap(runtime)
        except ConfigError as error:
            for problem in error.problems:
                logger.error("reload refused: %s", problem)  # noqa: TRY400 - no traceback wanted
            return
        except errors.HostError as error:
            logger.error("reload refused: %s %s", error.message, error.hint)  # noqa: TRY400 - no traceback wanted
            return
        logger.info("configuration reloaded: %d models, %d deployments", len(runtime.models), len(runtime.deployments))

    def swap(self, runtime: Runtime) -> None:
        """Serve new requests by another configuration; requests under way keep theirs. Raises `HostError`."""
        spine = self._spine(runtime)
        self.host.apply(local_models(runtime))
        self.gateway.spine = spine
        catalog = spine.catalog
        self._board.keep_only(frozenset(catalog.deployments))
        wildcards = [catalog.endpoint_of(name) for name in catalog.wildcard_providers]
        self.pool.apply([*catalog.deployments.values(), *wildcards])
        self.runtime = runtime

    def _spine(self, runtime: Runtime) -> Spine:
        # The price list is read for the configured deployments and kept for wildcard names.
        parts = structs.replace(self._parts, fetcher=UrlFetcher(runtime.server.fetch_allow))
        return Spine(runtime, Catalog(runtime, VENDORS, price_list(runtime)), parts)

    def _upstreams(self) -> Upstream:
        special: dict[str, Upstream] = {}
        for name, row in VENDORS.items():
            if row.transport == "fake":
                special[name] = FakeProvider()
            elif row.transport == "host":
                special[name] = HostedUpstream(self.pool, self.host)
        return UpstreamSwitch(RotatingUpstream(self.pool), special)

    def _emit(self, record: ExchangeRecord, model: str) -> None:
        self.metrics.count(record, model)
        self.feed.publish(record)

    def _control_plane(self) -> ControlPlane:
        return ControlPlane(
            spine=lambda: self.gateway.spine,
            store=self.store,
            feed=self.feed,
            metrics=self.metrics,
            in_flight=lambda: len(self.gateway.in_flight),
            host=self._workers,
            credentials=self._credentials,
            started_s=time.monotonic(),
            version=intellirouter.__version__,
        )

    def _credentials(self) -> list[dict[str, Any]]:
        deployments = self.gateway.spine.catalog.known_deployments()
        return [msgspec.to_builtins(state) for state in self.pool.credential_states(deployments)]

    def _workers(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(view) for view in self.host.views()]

    def _check_ready(self) -> tuple[bool, str]:
        health = self.store.health()
        return health.state != "degraded", f"store: {health.detail}"

    def _render(self) -> tuple[int, bytes, bytes]:
        return 200, CONTENT_TYPE.encode(), self.metrics.render()

    def _add_gauges(self) -> None:
        add = self.metrics.add_gauge
        add("intellirouter_in_flight", "Exchanges under way.", lambda: float(len(self.gateway.in_flight)))
        add("intellirouter_open_sockets", "WebSockets that clients hold open.", lambda: float(len(self.sockets)))
        add(
            "intellirouter_spool_backlog_records",
            "Settled exchanges that are not in the database yet.",
            lambda: float(self.store.health().backlog_records),
        )
        add(
            "intellirouter_lost_records",
            "Exchange records that could not be kept.",
            lambda: float(self.store.health().lost_records),
        )
