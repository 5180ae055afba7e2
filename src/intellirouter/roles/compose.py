"""Builds a gateway from a compiled configuration, and starts, reloads and stops it."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

import intellirouter
from intellirouter.admin import ControlPlane, build_admin
from intellirouter.catalog import HealthBoard, ProviderLists
from intellirouter.config import ConfigError, Runtime
from intellirouter.config.runtime import ServerSpec
from intellirouter.core import (
    SYSTEM_CLOCK,
    AnswerBudget,
    Current,
    ExchangeRecord,
    OffLoop,
    Upstream,
    errors,
    format_count,
)
from intellirouter.dialects import DIALECTS, build_dialects
from intellirouter.fake import FakeProvider
from intellirouter.gateway import (
    Gateway,
    HttpRequest,
    OllamaPages,
    ServerSocket,
    WebSocketGateway,
    WebSocketHints,
    header_lines,
    is_control,
    serve_checked,
)
from intellirouter.hosting import LocalHost, WorkerView
from intellirouter.pipeline import Entry, Generation, Hedging, InFlight, Stages
from intellirouter.providers import VENDORS, RotatingUpstream, UpstreamPool, WebSocketDialer
from intellirouter.resilience import WAIT_BOUNDS_S
from intellirouter.resources import (
    AsyncObjectStore,
    BackgroundResponses,
    Batches,
    Files,
    FileStore,
    LineRunner,
    PinStage,
    PinStore,
    Responses,
    ResponsesStage,
    ResponseStore,
)
from intellirouter.roles.answer_stores import AnswerStores
from intellirouter.roles.generation import Generations, Registries, SharedParts
from intellirouter.roles.host import build_host, local_models
from intellirouter.roles.model_lists import ModelLists, Traffic
from intellirouter.roles.price_list import price_list
from intellirouter.roles.upstreams import HostedUpstream, SocketSwitch, UpstreamSwitch
from intellirouter.roles.worker_errors import WorkerErrors
from intellirouter.routing import STRATEGIES, Placements
from intellirouter.serving import serve_asgi
from intellirouter.store import ExchangeStore, ReasoningMemories
from intellirouter.telemetry import (
    CONTENT_TYPE,
    BreakerView,
    LimitView,
    LiveFeed,
    Metrics,
    ModelPrecision,
    SemanticCacheView,
    breaker_metrics,
    limit_metrics,
    semantic_cache_metrics,
    set_up_logging,
)

logger = logging.getLogger(__name__)

_OTHER_VENDORS = frozenset(name for name, row in VENDORS.items() if row.transport != "http")
_BATCHES_STOP_S = 5.0
"""How long the lines of batches may continue after the requests in flight have finished."""


class GatewayProcess:
    """Everything that one gateway consists of. Build it inside a running event loop."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        on_host_event: Callable[[WorkerView], None] | None = None,
        load_runtime: Callable[[], Runtime] | None = None,
    ) -> None:
        """`load_runtime` loads and compiles the configuration for a reload; None if there is no file."""
        self._load_runtime = load_runtime
        self._reloading = asyncio.Lock()
        self._reload_problem: str | None = None
        self._stop_by_s = 0.0
        self.metrics = Metrics(is_configured=self._is_configured)
        self.feed = LiveFeed()
        self.store = ExchangeStore(runtime.store)
        self._answers = AnswerBudget()
        self.pool = UpstreamPool(trust=runtime.trust, answers=self._answers)
        self.host: LocalHost = build_host(runtime, self.pool, on_host_event)
        self.current: Current[Generation] = Current()
        self.in_flight = InFlight(self._answers)
        rng = random.Random()  # noqa: S311 - for load balancing, not for security
        self._board = HealthBoard(rng)
        self._off_loop = OffLoop()
        self._memories = ReasoningMemories(runtime.reasoning_memory, SYSTEM_CLOCK)
        self._placements = Placements()
        self._answer_stores = AnswerStores(SYSTEM_CLOCK, rng, runtime.trust)
        self._similar = self._answer_stores.shared.similar
        self._hedging = Hedging()
        self._lists = ProviderLists()
        self.model_lists = ModelLists(
            RotatingUpstream(self.pool), self._lists, VENDORS, SYSTEM_CLOCK, rng, traffic=self._traffic
        )
        self._upstream = self._upstreams()
        objects = AsyncObjectStore(self.store.objects, SYSTEM_CLOCK, self.store.is_only_gateway)
        self._generations = Generations(runtime, self._shared_parts(rng, objects))
        entry = self._entry = Entry(self.current, self.in_flight)
        files = FileStore(objects, SYSTEM_CLOCK, lambda: self.current.value.runtime.files)
        responses = ResponseStore(objects, SYSTEM_CLOCK, self._off_loop)
        self.background = BackgroundResponses(responses, entry, self._off_loop)
        lines = LineRunner(self.current, entry, SYSTEM_CLOCK, rng)
        self.batches = Batches(objects, files, SYSTEM_CLOCK, self.current, lines)
        self._registries = _registries(ResponsesStage(responses, self.background, self._off_loop))
        self._swap(self._generations.build(runtime, price_list(runtime), self._registries))
        self._gateway = Gateway(
            self.current,
            entry,
            check_ready=self._check_ready,
            render_metrics=self._render,
            resources=(
                Responses(responses, self.background),
                OllamaPages(self.current),
                Files(files, self.current, self._off_loop),
                self.batches,
                WebSocketHints(),
            ),
        )
        self.websockets = WebSocketGateway(self.current, entry)
        self._admin = build_admin(self._control_plane())
        self._add_gauges()

    def serve(self, request: HttpRequest) -> Coroutine[Any, Any, object]:
        """Serve the control plane below `/api/`, and the data plane at all other paths."""
        generation = self.current.value
        if generation.browsers is not None:
            return serve_checked(request, generation, self._serve, self._gateway.refuse)
        return self._serve(request)

    def _serve(self, request: HttpRequest) -> Coroutine[Any, Any, object]:
        generation = self.current.value
        if request.head.destination is not None or not is_control(request.head.path, generation.dialects):
            return self._gateway.serve(request)
        limits = generation.runtime.server
        return serve_asgi(
            self._admin, request, max_body_bytes=limits.max_body_bytes, body_timeout_s=limits.body_timeout_s
        )

    def serve_socket(self, socket: ServerSocket) -> Coroutine[Any, Any, object]:
        """Serve one WebSocket."""
        return self.websockets.serve(socket)

    def cors_lines(self, origin: bytes) -> bytes:
        """Return the CORS headers for an error of the server itself."""
        browsers = self.current.value.browsers
        return b"" if browsers is None else header_lines(browsers.cors_headers({b"origin": origin}) or [])

    async def start(self) -> None:
        await self._load_embedder(self.current.value.runtime)
        self.store.start()
        await self._answer_stores.start()
        self.background.start()
        self.batches.start()
        self.host.apply(local_models(self.current.value.runtime))
        self._apply_model_lists()

    def begin_stop(self) -> None:
        """Close live feeds and WebSockets, and start no more batch lines, while the requests in flight finish."""
        count, drain_s = len(self.in_flight), self.current.value.runtime.server.drain_s
        self._stop_by_s = time.monotonic() + drain_s
        if count == 0:
            logger.info("Stopping: no request is in flight.")
        else:
            requests = format_count(count, "request")
            logger.info("Stopping: waiting up to %g s for %s in flight.", drain_s, requests)
        self.feed.close()
        self._board.close_queues()
        self.websockets.begin_stop()
        self.batches.pause()

    async def stop(self, *, is_forced: bool = False) -> None:
        """Stop everything. Background responses get the rest of the drain time, unless `is_forced` is set.

        The store is last, so that it records the last exchanges.
        """
        await self.batches.stop(_BATCHES_STOP_S)
        await self.background.stop(0.0 if is_forced else max(0.0, self._stop_by_s - time.monotonic()))
        await self.model_lists.stop()
        await self._hedging.tasks.stop()
        await self._answer_stores.stop()
        await self.host.stop()
        await self.pool.close()
        self._off_loop.close()
        await self.store.stop(timeout_s=10.0)
        logger.info("Stopped.")

    async def reload(self) -> ServerSpec:
        """Load the configuration again and apply it. If it is invalid, log the problems and change nothing."""
        if self._load_runtime is None:
            logger.warning("There is no configuration file to reload.")
            self.host.apply(local_models(self.current.value.runtime))  # which starts failed models again
        else:
            try:
                await self._reload(self._load_runtime)
                self._reload_problem = None
            except ConfigError as error:
                self._reload_problem = str(error.problems[0])
                for problem in error.problems:
                    logger.error("The configuration was not reloaded. %s", problem)  # noqa: TRY400 - no traceback
            except errors.HostError as error:
                self._reload_problem = error.full_message
                message = "The configuration was not reloaded. %s"
                logger.error(message, error.full_message)  # noqa: TRY400 - no traceback
        return self.current.value.runtime.server

    async def _reload(self, load_runtime: Callable[[], Runtime]) -> None:
        """Build the next generation and use it for new requests. Raises `ConfigError`, `HostError`."""
        known = self.current.value.runtime.warnings
        async with self._reloading:  # so that an older configuration does not replace a newer one
            runtime = await asyncio.to_thread(load_runtime)
            prices = await asyncio.to_thread(price_list, self._generations.effective(runtime))
            generation = self._generations.build(runtime, prices, self._registries)
            await self._load_embedder(generation.runtime)
            self.host.apply(local_models(generation.runtime))
            self._swap(generation)
            self._apply_model_lists()
        set_up_logging(runtime.log_level, runtime.log_format)
        for setting in generation.pending_restart:
            logger.warning("%s has changed. It takes effect after a restart.", setting)
        for warning in runtime.warnings:
            if warning not in known:
                logger.warning("%s", warning)
        models = format_count(len(runtime.models), "model")
        deployments = format_count(len(runtime.deployments), "deployment")
        logger.info("The configuration was reloaded: %s, %s.", models, deployments)

    def _swap(self, generation: Generation) -> None:
        """Serve new requests with this generation. Requests in flight keep theirs."""
        self.current.swap(generation)
        catalog = generation.catalog
        self._memories.apply(generation.runtime.reasoning_memory)
        self._answer_stores.apply(generation.runtime.cache)
        self._answers.set_limit(generation.runtime.server.max_buffered_answer_bytes)
        runtime = generation.runtime
        policies = {name: spec.breaker for name, spec in runtime.deployments.items()}
        limits = {name: spec.slots for name, spec in runtime.deployments.items() if spec.slots is not None}
        self._board.apply(policies, runtime.default_breaker)
        self._board.apply_limits(limits, runtime.default_slots, SYSTEM_CLOCK.monotonic_s())
        wildcards = [catalog.endpoint_of(name) for name in catalog.wildcard_providers]
        self.pool.apply([*catalog.deployments.values(), *wildcards])

    async def _load_embedder(self, runtime: Runtime) -> None:
        """Load what the semantic cache needs, if a model uses it."""
        if runtime.cache.semantic is not None and not self._similar.is_loaded:
            await asyncio.to_thread(self._similar.load)

    def _traffic(self) -> Traffic:
        return Traffic(in_flight=len(self.in_flight), total=self.in_flight.added)

    def _apply_model_lists(self) -> None:
        generation = self.current.value
        self.model_lists.apply(generation.catalog, generation.runtime.discovery_interval_s)

    def _shared_parts(self, rng: random.Random, objects: AsyncObjectStore) -> SharedParts:
        return SharedParts(
            upstream=self._upstream,
            sockets=SocketSwitch(WebSocketDialer(self.pool), _OTHER_VENDORS),
            credentials=self.pool,
            journal=self.store,
            board=self._board,
            emit=self._emit,
            clock=SYSTEM_CLOCK,
            rng=rng,
            off_loop=self._off_loop,
            answers=self._answers,
            hedging=self._hedging,
            cache=self._answer_stores.shared,
            memory_of=self._memories.of,
            lists=self._lists,
            placements=self._placements,
            pins=PinStage(PinStore(objects, SYSTEM_CLOCK), self._off_loop),
        )

    def _upstreams(self) -> Upstream:
        special: dict[str, Upstream] = {}
        for name, row in VENDORS.items():
            if row.transport == "fake":
                special[name] = FakeProvider(off_loop=self._off_loop)
            elif row.transport == "host":
                special[name] = HostedUpstream(WorkerErrors(self.pool), self.host)
        return UpstreamSwitch(self.pool, special)

    def _is_configured(self, name: str) -> bool:
        """Return whether a model or deployment is configured, and not a name that a client calls through a wildcard."""
        catalog = self.current.value.catalog
        return name in catalog.resolved_models or name in catalog.deployments

    def _emit(self, record: ExchangeRecord, model: str) -> None:
        self.metrics.count(record, model)
        self.feed.publish(record)

    def _control_plane(self) -> ControlPlane:
        return ControlPlane(
            current=self.current,
            board=self._board,
            clock=SYSTEM_CLOCK,
            store=self.store,
            feed=self.feed,
            metrics=self.metrics,
            in_flight=lambda: len(self.in_flight),
            host=self._workers,
            credentials=self._credentials,
            reload_problem=lambda: self._reload_problem,
            model_lists=self.model_lists.views,
            answer_store=self._answer_stores.health,
            count_refusal=self._entry.count_refusal,
            started_s=time.monotonic(),
            version=intellirouter.__version__,
        )

    def _credentials(self) -> list[dict[str, Any]]:
        deployments = self.current.value.catalog.known_deployments()
        return [msgspec.to_builtins(state) for state in self.pool.credential_states(deployments)]

    def _workers(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(view) for view in self.host.views()]

    def _check_ready(self) -> tuple[bool, str]:
        health = self.store.health()
        # Anyone may ask, so the detail, which can name files, is only in the log and in the health report for admins.
        if self._has_no_available_model():
            return False, "models: unavailable"
        return health.state != "degraded", f"store: {health.state}"

    def _has_no_available_model(self) -> bool:
        """Return whether all deployments are local models that cannot serve, so that every request fails."""
        catalog = self.current.value.catalog
        down = {view.name for view in self.host.views() if view.problem is not None}
        return bool(down) and not catalog.wildcard_providers and down.issuperset(catalog.deployments)

    def _render(self) -> tuple[int, bytes, bytes]:
        return 200, CONTENT_TYPE.encode(), self.metrics.render()

    def _add_gauges(self) -> None:
        add = self.metrics.add_gauge
        add("intellirouter_in_flight", "Requests in flight.", lambda: float(len(self.in_flight)))
        add("intellirouter_open_sockets", "Open WebSockets of clients.", lambda: float(len(self.websockets)))
        add(
            "intellirouter_refused_strangers",
            "Refused requests of unidentified callers since the start, most of which are not recorded.",
            lambda: float(self._entry.refusals.total),
        )
        add(
            "intellirouter_buffered_answer_bytes",
            "Size of large answers that are arriving, or that clients have not read yet.",
            lambda: float(self._answers.used_bytes),
        )
        add(
            "intellirouter_reasoning_memory_bytes",
            "Size of the reasoning that is remembered because clients may not send it back.",
            lambda: float(self._memories.used_bytes),
        )
        add(
            "intellirouter_affinity_sessions",
            "Sessions whose last deployment is remembered.",
            lambda: float(len(self._placements)),
        )
        memory = self._answer_stores.memory
        add("intellirouter_cache_bytes", "Size of the answers stored in memory.", lambda: float(memory.used_bytes))
        add("intellirouter_cache_entries", "Answers stored in memory.", lambda: float(memory.entry_count))
        add(
            "intellirouter_spool_backlog_records",
            "Records that are in the spool, but not in the database yet.",
            lambda: float(self.store.health().backlog_records),
        )
        add(
            "intellirouter_lost_records",
            "Records that could not be stored.",
            lambda: float(self.store.health().lost_records),
        )
        self._add_resource_gauges()
        self.metrics.add_source(lambda: breaker_metrics(self._breakers()))
        self.metrics.add_source(self._answer_stores.metrics)
        self.metrics.add_source(lambda: limit_metrics(self._limits(), WAIT_BOUNDS_S))
        self.metrics.add_source(lambda: semantic_cache_metrics(self._semantic_caches()))

    def _add_resource_gauges(self) -> None:
        """Add what must return to its idle value when there is no load, so that a leak can be noticed."""
        add, count = self.metrics.add_gauge, self.pool.count_connections
        add("intellirouter_tasks", "Tasks of the event loop.", lambda: float(len(asyncio.all_tasks())))
        add("intellirouter_upstream_connections", "Open connections to upstreams.", lambda: float(count()[0]))
        add("intellirouter_idle_upstream_connections", "Those that no request uses.", lambda: float(count()[1]))
        add("intellirouter_waiting_for_connection", "Requests that wait for one.", lambda: float(count()[2]))

    def _semantic_caches(self) -> SemanticCacheView:
        models = [
            ModelPrecision(each.model, each.state.value, each.verified, each.precision)
            for each in self._similar.monitors()
        ]
        return SemanticCacheView(self._similar.size_bytes, self._similar.entry_count, models)

    def _limits(self) -> list[LimitView]:
        return [
            LimitView(
                deployment=name,
                limit=slots.limit.value,
                in_flight=slots.held,
                waiting=slots.waiting,
                waits=slots.waits.counts,
                waits_sum_s=slots.waits.sum_s,
                refusals=slots.refusals,
            )
            for name, slots in self._board.limited()
            if slots.limit is not None
        ]

    def _breakers(self) -> list[BreakerView]:
        now_s = SYSTEM_CLOCK.monotonic_s()
        return [
            BreakerView(name, each.state_at(now_s), each.openings, each.probes, each.closings)
            for name, each in self._board.opened_breakers()
        ]


def _registries(responses: ResponsesStage) -> Registries:
    return Registries(
        vendors=VENDORS,
        dialects=build_dialects(DIALECTS),
        strategies={row.name: row for row in STRATEGIES},
        stages=Stages(request=(responses,), sources=(responses,), answer=(responses,)),
    )
