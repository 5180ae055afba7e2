"""Finds stored answers to similar requests, and measures how many of them are right. One per process.

The answers are in the `AnswerStore`; here are only the texts to which they belong, their vectors, and the measured
precision of each model. An entry whose answer is no longer stored is removed when it is found.
"""

import logging
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from intellirouter.cache.entries import AnswerStore, StoredAnswer
from intellirouter.cache.keys import CacheKeys
from intellirouter.cache.semantic.agreement import answers_agree
from intellirouter.cache.semantic.eligibility import Limits, ineligible_reason
from intellirouter.cache.semantic.embedder import Embedder, Vector
from intellirouter.cache.semantic.guard import first_difference
from intellirouter.cache.semantic.precision import MonitorState, PrecisionMonitor, PrecisionTarget
from intellirouter.cache.semantic.reading import Reading, read_text
from intellirouter.cache.semantic.similar_index import Entry
from intellirouter.cache.semantic.static_table import load_static_table
from intellirouter.cache.semantic.tenant_indexes import TenantIndexes
from intellirouter.catalog import ResolvedModel
from intellirouter.config import SemanticSpec
from intellirouter.core import Call, errors
from intellirouter.dialects import Endpoint, last_turn_of

logger = logging.getLogger(__name__)

_MAX_MONITORS: Final = 1_000
_MAX_BODY_BYTES: Final = 16 * 1024
_LIMITS: Final = Limits(max_characters=700, max_context_characters=10_000)
"""A lookup within these limits takes less than a millisecond, so it is made on the event loop."""
_MAX_COMPARED_CHARACTERS: Final = 4_000
"""How much of two answers is compared. More takes longer, and differences show at the beginning."""


class Similar(Struct, frozen=True):
    """A stored answer to a similar request."""

    stored: StoredAnswer
    similarity: float
    """The cosine of the two texts; 1 if they are the same after rewriting."""


class Lookup(Struct, kw_only=True):
    """The last turn of a request that may get the answer to a similar one."""

    tenant: str
    model: str
    partition_key: bytes
    reading: Reading
    vector: Vector | None = None
    """Computed when it is first needed."""
    to_verify: Similar | None = None
    """The answer that is compared with the one of the upstream."""


class MonitorView(Struct, frozen=True):
    """The measured precision of one model."""

    model: str
    state: MonitorState
    verified: int
    precision: float | None


class SimilarAnswers:
    """Survives reloads of the configuration. Use it on one event loop only.

    `load` reads a file, so call it in a thread. Until then, nothing is found and nothing is stored.
    """

    def __init__(self, load_embedder: Callable[[], Embedder] = load_static_table) -> None:
        self._load_embedder = load_embedder
        self._embedder: Embedder | None = None
        self._indexes: TenantIndexes | None = None
        self._settings = SemanticSpec()
        self._monitors: OrderedDict[str, PrecisionMonitor] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        return 0 if self._indexes is None else self._indexes.size_bytes

    @property
    def entry_count(self) -> int:
        return 0 if self._indexes is None else len(self._indexes)

    @property
    def is_loaded(self) -> bool:
        return self._embedder is not None

    def load(self) -> None:
        """Load the embedder, if it is not loaded. If that fails, log it: then only identical requests share answers."""
        if self._embedder is not None:
            return
        try:
            self._embedder = self._load_embedder()
        except (ImportError, OSError, ValueError, KeyError) as error:
            logger.error(  # noqa: TRY400 - the cause is a missing or another version of a package
                "The semantic cache is off, and `exact` is used instead. %s "
                "Install the packages with pip install 'intellirouter[semantic]'.",
                f"{error}".rstrip(".") + ".",
            )

    def apply(self, settings: SemanticSpec | None) -> None:
        """Use other settings from now on. None removes everything."""
        if settings is None:
            self._indexes = None
            self._monitors.clear()
            return
        if _target_of(settings) != _target_of(self._settings):
            self._monitors.clear()
        self._settings = settings
        if self._indexes is not None:
            self._indexes.resize(settings.max_bytes)

    def monitors(self) -> Iterator[MonitorView]:
        for model, monitor in self._monitors.items():
            yield MonitorView(model, monitor.state, monitor.verified, monitor.precision)

    def examine(
        self, keys: CacheKeys, tenant: str, endpoint: Endpoint, call: Call, resolved: ResolvedModel, now_s: float
    ) -> "Lookup | str":
        """Return the lookup for a request, or the reason why similar answers cannot be used for it."""
        if self._embedder is None:
            return "The semantic cache could not be loaded."
        if call.operation != "chat" or len(call.body) > _MAX_BODY_BYTES:
            return "Only chat requests up to 16 KiB are compared with similar ones."
        monitor = self._monitor_of(resolved.model)
        if not self._is_in_use(resolved.model, monitor, now_s):
            seconds = monitor.resumes_in_s(now_s)
            return f"Too few answers to similar requests were right. They are tried again in {seconds:.0f} s."
        try:
            conversation = endpoint.conversation(call)
        except errors.GatewayError:  # the upstream decides whether the request is valid
            return "The conversation cannot be read."
        turn = None if conversation is None else last_turn_of(conversation)
        if (reason := ineligible_reason(turn, _LIMITS)) is not None or turn is None:
            return reason or ""
        partition_key = keys.partition_of(tenant, endpoint, call, resolved, turn.text)
        if partition_key is None:
            return "The last turn cannot be compared."
        return Lookup(tenant=tenant, model=resolved.model, partition_key=partition_key, reading=read_text(turn.text))

    async def find(self, lookup: Lookup, store: AnswerStore, now_s: float, max_age_s: float | None) -> Similar | None:
        """Return the best answer to a similar request that is stored and not too old."""
        for entry, similarity in self._candidates(lookup, now_s):
            stored = await store.get(lookup.tenant, entry.answer_key, now_s)
            if stored is None or now_s >= stored.expires_s:
                if self._indexes is not None and store.is_available:
                    self._indexes.remove(lookup.tenant, lookup.partition_key, entry.answer_key)
            elif max_age_s is None or now_s - stored.stored_s <= max_age_s:
                if self._indexes is not None:
                    self._indexes.touch(lookup.tenant, lookup.partition_key, entry.answer_key)
                return Similar(stored, similarity)
        return None

    def may_serve(self, model: str, request_id: str, *, can_be_verified: bool) -> bool:
        """Return whether an answer to a similar request may be served instead of being verified."""
        monitor = self._monitor_of(model)
        if not monitor.may_serve():
            return False
        return not (can_be_verified and monitor.is_verified(zlib.crc32(request_id.encode())))

    def add(self, lookup: Lookup, answer_key: bytes, expires_s: float) -> None:
        """Store the text of a request whose answer has been stored."""
        vector = self._vector_of(lookup)
        if self._embedder is None or vector is None:
            return
        if self._indexes is None:
            self._indexes = TenantIndexes(self._embedder.dimensions, self._settings.max_bytes)
        entry = Entry(answer_key, lookup.reading, expires_s)
        self._indexes.add(lookup.tenant, lookup.partition_key, entry, vector)

    def agree(self, stored: str, real: str) -> bool:
        """Return whether two answers say the same. Takes milliseconds, so call it off the event loop."""
        return answers_agree(stored[:_MAX_COMPARED_CHARACTERS], real[:_MAX_COMPARED_CHARACTERS], self._cosine)

    def record(self, model: str, *, is_right: bool, now_s: float) -> None:
        """Count a verified answer, and log whether similar answers are used from now on."""
        monitor = self._monitor_of(model)
        before = monitor.state
        monitor.record(is_right=is_right, now_s=now_s)
        if monitor.state is before:
            return
        if monitor.state is MonitorState.SERVING:
            logger.info(
                "The semantic cache of the model '%s' is on: at least %.1f %% of its answers are right.",
                model,
                100 * monitor.lower_bound,
            )
        elif monitor.state is MonitorState.PAUSED:
            logger.warning(
                "The semantic cache of the model '%s' is off for %.0f s: too few of its answers were right.",
                model,
                monitor.resumes_in_s(now_s),
            )
        else:
            logger.warning(
                "The semantic cache of the model '%s' is off until more of its answers have been verified.", model
            )

    def _candidates(self, lookup: Lookup, now_s: float) -> Iterator[tuple[Entry, float]]:
        """Yield the stored texts that ask for the same, best first."""
        indexes, tenant, key = self._indexes, lookup.tenant, lookup.partition_key
        if indexes is None:
            return
        same = indexes.find_text(tenant, key, lookup.reading.canonical_text, now_s=now_s)
        if same is not None and first_difference(same.reading, lookup.reading) is None:
            yield same, 1.0
        if (vector := self._vector_of(lookup)) is None:
            return
        matches = indexes.find(tenant, key, vector, now_s=now_s, min_cosine=self._settings.min_similarity)
        for match in matches:
            if match.entry is not same and first_difference(match.entry.reading, lookup.reading) is None:
                yield match.entry, min(1.0, match.cosine)

    def _vector_of(self, lookup: Lookup) -> Vector | None:
        if lookup.vector is None and self._embedder is not None:
            lookup.vector = self._embedder.embed(lookup.reading.canonical_text)
        return lookup.vector

    def _cosine(self, one: str, other: str) -> float:
        if self._embedder is None:
            return 0.0
        vectors = (self._embedder.embed(one), self._embedder.embed(other))
        return 0.0 if vectors[0] is None or vectors[1] is None else float(vectors[0] @ vectors[1])

    def _monitor_of(self, model: str) -> PrecisionMonitor:
        monitor = self._monitors.get(model)
        if monitor is None:
            if len(self._monitors) >= _MAX_MONITORS:
                self._monitors.popitem(last=False)
            monitor = self._monitors[model] = PrecisionMonitor(_target_of(self._settings))
        return monitor

    def _is_in_use(self, model: str, monitor: PrecisionMonitor, now_s: float) -> bool:
        was_paused = monitor.state is MonitorState.PAUSED
        is_in_use = monitor.is_in_use(now_s)
        if was_paused and is_in_use:
            logger.info("The semantic cache of the model '%s' is tried again: its answers are verified.", model)
        return is_in_use


def _target_of(settings: SemanticSpec) -> PrecisionTarget:
    return PrecisionTarget(precision=settings.target_precision, verified_share=settings.verify_share)
