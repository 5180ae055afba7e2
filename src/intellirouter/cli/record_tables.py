"""Exchange records as text: one line each, or one in detail with its attempts drawn over time."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from intellirouter.cli.lazy import LazyModule
from intellirouter.cli.output import format_count, format_value, make_table
from intellirouter.cli.tables import Part

if TYPE_CHECKING:
    import msgspec

    from intellirouter import client, core
else:
    core = LazyModule("intellirouter.core")
    msgspec = LazyModule("msgspec")

_BAR_CELLS: Final = 40
_BAR_LEGEND: Final = ("░ waiting for the first byte", "█ receiving")


def record_data(record: "core.ExchangeRecord | client.RequestSummary") -> dict[str, Any]:
    """Return the record as JSON data, with its cost in dollars added."""
    data: dict[str, Any] = msgspec.to_builtins(record)
    data["cost_usd"] = record_cost(record)
    return data


def record_cost(record: "core.ExchangeRecord | client.RequestSummary") -> str | None:
    """Return the cost in US dollars as text; None if it is unknown."""
    return None if record.cost_microusd is None else core.format_usd(record.cost_microusd)


def record_line(record: "core.ExchangeRecord") -> list[Part]:
    """Return the parts of a line, each with its rank: a narrow terminal shows the first ranks."""
    time = local_time(record.started_us).strftime("%H:%M:%S")
    tokens = format_value(None if record.usage is None else record.usage.total_tokens)
    attempts = format_count(len(record.attempts), "attempt")
    route = f"{format_value(record.model)} > {format_value(record.deployment)}"
    return [
        Part(time, 1, "TIME"),
        Part(record.request_id, 0, "REQUEST"),
        Part(str(record.status), 2, "STATUS"),
        Part(f"{record.duration_ms:>7.0f} ms", 5, "MS"),
        Part(f"{tokens:>6} tokens", 6, "TOKENS"),
        Part(f"{format_value(record_cost(record)):>8} USD", 7, "USD"),
        Part(f"{attempts:<10}", 8, "ATTEMPTS"),
        Part("" if record.cache is None else f"cache {record.cache}", 9, "CACHE"),
        Part(route, 4, "MODEL"),
        Part(record.error_code or "", 3, "ERROR"),
    ]


def is_failed(record: "core.ExchangeRecord") -> bool:
    return record.status >= 400 or record.error_code is not None


def local_time(epoch_us: int) -> datetime:
    """Convert microseconds since the epoch to a time in the local time zone."""
    return datetime.fromtimestamp(epoch_us / 1_000_000, tz=UTC).astimezone()


def record_blocks(record: "core.ExchangeRecord") -> Iterator[Any]:
    """Yield the lines and tables that show a whole record: facts, candidates, attempts."""
    yield record.request_id
    yield make_table(("", " "), _facts(record), wrapped=(" ",))
    if record.decision is not None:
        yield ""
        rows = [(each.deployment, each.verdict, each.score, each.reason) for each in record.decision.candidates]
        headings = ("CANDIDATE", "VERDICT", "SCORE", "REASON")
        yield make_table(headings, rows, right=("SCORE",), wrapped=("REASON",), optional=("SCORE", "REASON", "VERDICT"))
    if record.attempts:
        yield ""
        yield attempts_table(record.attempts, record.duration_ms)


def _facts(record: "core.ExchangeRecord") -> Iterator[tuple[str, Any]]:
    yield "time", local_time(record.started_us).isoformat(sep=" ", timespec="milliseconds")
    yield "endpoint", f"{record.endpoint}{' (stream)' if record.is_stream else ''}"
    yield "tenant, key", (record.tenant, record.key_name or "anonymous")
    yield "model", record.model
    yield "deployment", _deployment(record)
    if record.decision is not None:
        yield "decision", f"{record.decision.strategy}: {record.decision.reason}"
    if record.degradation:
        yield "degradation", "; ".join(map(_step, record.degradation))
    yield "status", record.status
    if record.error_code or record.error_message:
        yield "error", f"{format_value(record.error_code)}: {format_value(record.error_message)}"
    yield "finish reason", record.finish_reason
    if record.usage is not None:
        estimated = " (estimated)" if record.usage.is_estimated else ""
        yield "tokens", f"{record.usage.total_input_tokens} in, {record.usage.total_output_tokens} out{estimated}"
    cost = record_cost(record)
    yield "cost", None if cost is None else f"{cost} USD (price: {format_value(record.price_version)})"
    if record.cache is not None:
        yield "cache", _cache(record)
    if record.affinity is not None:
        yield "affinity", _affinity(record.affinity)
    first = "" if record.first_token_ms is None else f", first token after {record.first_token_ms:.0f} ms"
    yield "duration", f"{record.duration_ms:.0f} ms{first}"
    if record.dropped:
        yield "dropped fields", record.dropped


def _step(result: "core.StepResult") -> str:
    """Return what became of a step of the degradation ladder: `model small failed: small is rate limited.`"""
    return f"{result.step} {result.outcome}{f': {result.reason}' if result.reason else ''}"


def _cache(record: "core.ExchangeRecord") -> str:
    """Return what the cache did: `hit: the answer of req_x, 12 s old; it saved 0.0042 USD`."""
    parts = []
    if record.cache_source is not None:
        age = "" if record.cache_age_s is None else f", {record.cache_age_s:.0f} s old"
        similar = "" if record.cache_similarity is None else f", similarity {record.cache_similarity:.2f}"
        parts.append(f"the answer of {record.cache_source}{age}{similar}")
    if record.saved_microusd is not None:
        parts.append(f"it saved {core.format_usd(record.saved_microusd)} USD")
    if record.cache_reason is not None:
        parts.append(record.cache_reason)
    return f"{record.cache}: {'; '.join(parts)}" if parts else str(record.cache)


def _affinity(use: "core.AffinityUse") -> str:
    """Return where the session was served last, and whether it stayed: `session: stayed at a, 42 s later`."""
    if use.outcome == "new":
        return f"{use.kind}: new"
    if use.outcome == "hit":
        return f"{use.kind}: stayed at {use.deployment}, {use.age_s:.0f} s later"
    lost = f"; about {core.format_usd(use.lost_microusd)} USD of cached input lost" if use.lost_microusd else ""
    return f"{use.kind}: left {use.deployment}, {use.age_s:.0f} s later: {use.cause}{lost}"


def _deployment(record: "core.ExchangeRecord") -> str | None:
    if record.deployment is None:
        return None
    return f"{record.deployment} ({format_value(record.provider)}, {format_value(record.upstream_model)})"


def attempts_table(attempts: "tuple[core.Attempt, ...]", duration_ms: float) -> Any:
    """Return a table with a bar for each attempt, all on the time scale of the exchange."""
    rows = [
        (
            number,
            attempt.kind,
            attempt.deployment,
            attempt.outcome if attempt.status is None else f"{attempt.outcome} ({attempt.status})",
            attempt_bar(attempt, duration_ms),
            f"{(duration_ms if attempt.ended_ms is None else attempt.ended_ms) - attempt.started_ms:.0f}",
            _message(attempt),
        )
        for number, attempt in enumerate(attempts, start=1)
    ]
    table = make_table(
        ("#", "ATTEMPT", "DEPLOYMENT", "OUTCOME", "TIME", "MS", "MESSAGE"),
        rows,
        right=("#", "MS"),
        wrapped=("MESSAGE",),
        optional=("TIME", "ATTEMPT", "MS", "#", "MESSAGE", "OUTCOME"),
    )
    return replace(table, legends={"TIME": _BAR_LEGEND})


def _message(attempt: "core.Attempt") -> str:
    """Return what is to say about an attempt: how long it has waited for a slot, and why it has failed."""
    queued = f"queued {attempt.queued_ms:.0f} ms" if attempt.queued_ms else ""
    return ". ".join(filter(None, (queued, attempt.message))) or " "


def attempt_bar(attempt: "core.Attempt", duration_ms: float) -> str:
    """Draw one attempt within `duration_ms`: at least one cell wide, never beyond the end of the scale.

    An attempt that never received a byte has waited all the time.
    """
    scale = _BAR_CELLS / max(duration_ms, 0.001)
    ended_ms = duration_ms if attempt.ended_ms is None else attempt.ended_ms
    start = min(_BAR_CELLS - 1, max(0, int(attempt.started_ms * scale)))
    end = min(_BAR_CELLS, max(start + 1, round(ended_ms * scale)))
    first_byte_ms = attempt.first_byte_ms
    first = end if first_byte_ms is None else min(end, max(start, round(first_byte_ms * scale)))
    return "·" * start + "░" * (first - start) + "█" * (end - first) + "·" * (_BAR_CELLS - end)
