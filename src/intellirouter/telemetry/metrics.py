"""Metrics: plain counters that the event loop updates, rendered only when they are scraped.

An unknown model is counted with an empty name. The names of wildcard models come from clients, however, and each can be
as long as a name may be. So only the first `_MAX_UNCONFIGURED` of them are counted separately, and all
others together, as `(other)`: this bounds memory and the time that a scrape takes. `_MAX_SERIES` bounds all label sets.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from operator import attrgetter
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from intellirouter.core import INPUT_COUNTS, OUTPUT_COUNTS, ExchangeRecord
from intellirouter.telemetry.affinity import AffinityView, affinity_metrics

_MAX_SERIES: Final = 2000
_MAX_UNCONFIGURED: Final = 100
"""With names of 100 characters, a scrape of these takes about 30 ms."""
_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_OTHER: Final = "(other)"
_FOLD_AFTER: Final = 64
_status_of: Final = attrgetter("status")
_cache_of: Final = attrgetter("cache")
_usage_of: Final = attrgetter("usage")
_affinity_of: Final = attrgetter("affinity")
_duration_of: Final = attrgetter("duration_ms")
_labels_of: Final = attrgetter("deployment", "outcome")

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class _Histogram:
    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS_S) + 1)
        self.sum_s = 0.0

    def observe(self, times_ms: list[float]) -> None:
        seconds = [time_ms / 1000 for time_ms in times_ms]
        for at, number in Counter(map(bisect_left, repeat(_BOUNDS_S), seconds)).items():
            self.counts[at] += number
        self.sum_s += sum(seconds)

    def buckets(self) -> list[tuple[str, float]]:
        running, rows = 0, []
        for bound, count in zip((*map(str, _BOUNDS_S), "+Inf"), self.counts, strict=True):
            running += count
            rows.append((bound, float(running)))
        return rows


class _Series:
    """Counters of one pair of model and deployment."""

    __slots__ = (
        "affinity",
        "affinity_lost_microusd",
        "cost_microusd",
        "duration",
        "first_token",
        "statuses",
        "tokens_in",
        "tokens_out",
        "unpriced",
    )

    def __init__(self) -> None:
        self.affinity: Counter[str] = Counter()
        self.affinity_lost_microusd = 0
        self.statuses: Counter[int] = Counter()
        self.tokens_in = 0
        self.tokens_out = 0
        self.cost_microusd = 0
        self.unpriced = 0
        self.duration = _Histogram()
        self.first_token = _Histogram()

    def add(self, records: list[ExchangeRecord]) -> None:
        self.statuses.update(map(_status_of, records))
        used = [record for record in records if record.usage is not None]
        usages = list(map(_usage_of, used))
        self.tokens_in += sum(map(sum, map(INPUT_COUNTS, usages)))
        self.tokens_out += sum(map(sum, map(OUTPUT_COUNTS, usages)))
        costs = [record.cost_microusd for record in used if record.cost_microusd is not None]
        self.cost_microusd += sum(costs)
        self.unpriced += len(used) - len(costs)
        if affinities := [use for use in map(_affinity_of, records) if use is not None]:
            self.affinity.update([use.outcome for use in affinities])
            self.affinity_lost_microusd += sum([use.lost_microusd for use in affinities])
        self.duration.observe(list(map(_duration_of, records)))
        first = [record.first_token_ms for record in records if record.first_token_ms is not None]
        if first:
            self.first_token.observe(first)


class Metrics(Collector):
    """Counts finished exchanges and attempts. `gauges` are read when the metrics are scraped."""

    def __init__(
        self,
        gauges: dict[str, tuple[str, Callable[[], float]]] | None = None,
        is_configured: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        """`is_configured`: returns whether a model or deployment is configured, so that its name is not a client's."""
        self._series: dict[tuple[str, str], _Series] = {}
        self._attempts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._gauges = dict(gauges or {})
        self._is_configured = is_configured
        self._unconfigured: Counter[str] = Counter()
        """How many label sets have names from clients: of `requests` and of `attempts`."""
        self._sources: list[Callable[[], Iterable[Metric]]] = []
        self._cache: Counter[str | None] = Counter()
        """What the cache did; None where it does not apply."""
        self._saved_microusd = 0
        self._continuations: Counter[str] = Counter()
        """How the attempts have ended that were to write the rest of a stream."""
        self._degraded: Counter[tuple[str, str]] = Counter()
        """By model and step. Only configured models have ladders."""
        self._pending: list[tuple[str, ExchangeRecord]] = []
        self.finished = 0
        self.failed = 0

    def add_source(self, read: Callable[[], Iterable[Metric]]) -> None:
        """Add metrics that are read when the metrics are scraped. Bounding their number is up to the source."""
        self._sources.append(read)

    def add_gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        self._gauges[name] = (description, read)

    def count(self, record: ExchangeRecord, model: str) -> None:
        """Count a finished exchange. `model` is the configured name, empty for an unknown model."""
        self.finished += 1
        if record.error_code is not None:
            self.failed += 1
        self._pending.append((model, record))
        if len(self._pending) >= _FOLD_AFTER:
            self._fold()

    def _fold(self) -> None:
        """Add the pending exchanges to the counters. In batches this costs a fraction of adding each one separately."""
        pending, self._pending = self._pending, []
        groups: defaultdict[tuple[str, str], list[ExchangeRecord]] = defaultdict(list)
        for model, record in pending:
            groups[model, record.deployment or ""].append(record)
        for key, records in groups.items():
            (self._series.get(key) or self._new_series(key)).add(records)
            self._cache.update(map(_cache_of, records))
        if len(self._cache) > 1 or None not in self._cache:  # the cache is on
            self._saved_microusd += sum([record.saved_microusd or 0 for _, record in pending])
        repeated = [record for _, record in pending if len(record.attempts) > 1]
        self._continuations.update(
            [each.outcome for record in repeated for each in record.attempts if each.kind == "continuation"]
        )
        for model, record in pending:
            if record.degraded is not None:
                self._degraded[model, record.degraded] += 1
        attempts = Counter([_labels_of(attempt) for _, record in pending for attempt in record.attempts])
        for pair, number in attempts.items():
            is_known = pair in self._attempts or self._takes("attempts", len(self._attempts), pair[0])
            self._attempts[pair if is_known else (_OTHER, _OTHER)] += number

    def _new_series(self, key: tuple[str, str]) -> _Series:
        if not self._takes("requests", len(self._series), *key):
            key = (_OTHER, _OTHER)
        return self._series.setdefault(key, _Series())

    def _takes(self, kind: str, count: int, *names: str) -> bool:
        """Return whether a new label set with these names is counted separately. `count`: how many there are."""
        if count >= _MAX_SERIES:
            return False
        if all(not name or self._is_configured(name) for name in names):
            return True
        if self._unconfigured[kind] >= _MAX_UNCONFIGURED:
            return False
        self._unconfigured[kind] += 1
        return True

    def render(self) -> bytes:
        """Return the Prometheus text exposition."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        self._fold()
        labels = ["model", "deployment"]
        requests = CounterMetricFamily("intellirouter_requests", "Finished requests.", labels=[*labels, "status"])
        tokens = CounterMetricFamily("intellirouter_tokens", "Tokens by direction.", labels=[*labels, "direction"])
        cost = CounterMetricFamily(
            "intellirouter_cost_microusd", "Cost in micro-USD, where the price is known.", labels=labels
        )
        unpriced = CounterMetricFamily("intellirouter_unpriced", "Requests whose price is unknown.", labels=labels)
        duration = HistogramMetricFamily(
            "intellirouter_request_duration_seconds", "Duration of the whole request.", labels=labels
        )
        first = HistogramMetricFamily("intellirouter_first_token_seconds", "Time to the first token.", labels=labels)
        for (model, deployment), series in self._series.items():
            pair = [model, deployment]
            for status, number in series.statuses.items():
                requests.add_metric([*pair, str(status)], number)
            tokens.add_metric([*pair, "input"], series.tokens_in)
            tokens.add_metric([*pair, "output"], series.tokens_out)
            cost.add_metric(pair, series.cost_microusd)
            unpriced.add_metric(pair, series.unpriced)
            duration.add_metric(pair, series.duration.buckets(), series.duration.sum_s)
            first.add_metric(pair, series.first_token.buckets(), series.first_token.sum_s)
        yield from self._outcomes()
        yield from (requests, tokens, cost, unpriced, duration, first)
        yield from affinity_metrics(
            AffinityView(model, deployment, series.affinity, series.affinity_lost_microusd)
            for (model, deployment), series in self._series.items()
            if series.affinity
        )
        for name, (description, read) in self._gauges.items():
            yield GaugeMetricFamily(name, description, value=read())
        for source in self._sources:
            yield from source()

    def _outcomes(self) -> Iterator[Metric]:
        """Yield what attempts, the cache, degradation and continuation have done."""
        attempts = CounterMetricFamily(
            "intellirouter_attempts", "Attempts by outcome.", labels=["deployment", "outcome"]
        )
        for (deployment, outcome), number in self._attempts.items():
            attempts.add_metric([deployment, outcome], number)
        cache = CounterMetricFamily(
            "intellirouter_cache_requests", "Requests to which the cache applies, by what it did.", labels=["outcome"]
        )
        for done, number in self._cache.items():
            if done is not None:
                cache.add_metric([done], number)
        saved = CounterMetricFamily(
            "intellirouter_cache_saved_microusd",
            "What answers from the cache have cost when they were made, in micro-USD.",
            value=self._saved_microusd,
        )
        degraded = CounterMetricFamily(
            "intellirouter_degraded",
            "Requests that a step of a degradation ladder has answered.",
            labels=["model", "step"],
        )
        for (model, step), number in self._degraded.items():
            degraded.add_metric([model, step], number)
        continuations = CounterMetricFamily(
            "intellirouter_continuations",
            "Attempts to write the rest of a stream that has broken off, by outcome.",
            labels=["outcome"],
        )
        for outcome, number in self._continuations.items():
            continuations.add_metric([outcome], number)
        yield from (cache, saved, degraded, continuations, attempts)
