"""The report on a soak."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from bench.report import describe
from bench.soak_faults.samples import RETURNING, Sample, highest, left_over, slope_mb_per_hour

SILENT = ("truncated", "duplicated", "wrong")
"""Outcomes that are wrong without saying so."""
_ROWS = 16


class Soak(msgspec.Struct, kw_only=True):
    """The result of a run."""

    minutes: float
    rate_per_s: float
    counts: Mapping[str, Counter[str]]
    """The number of each outcome by kind of load."""
    skipped: int
    """Requests that were not sent, because too many were in flight."""
    idle: Sample
    """Before the load, after some without faults."""
    samples: Sequence[Sample]
    after: Sample
    """After the load, when the vendors have been stopped."""
    drain_s: float
    """How long it took until nothing was left over, or how long that was waited for."""

    @property
    def silently_wrong(self) -> int:
        return sum(counts[outcome] for counts in self.counts.values() for outcome in SILENT)

    @property
    def left_over(self) -> dict[str, float]:
        return left_over(self.idle, self.after)


def render(soak: Soak, machine: dict[str, Any], date: str) -> str:
    """Return the report as Markdown."""
    return "\n".join(_lines(soak, machine, date)) + "\n"


def _lines(soak: Soak, machine: dict[str, Any], date: str) -> Iterator[str]:
    yield f"# Soak with faults, {date}"
    yield ""
    yield (
        f"{describe(machine)} {soak.minutes:g} minutes at {soak.rate_per_s:g} requests per second. Each model has "
        "three deployments at three MockVendor processes, with the dialects of OpenAI, Anthropic and Gemini, and "
        "strategy `round_robin`. One vendor misbehaves at any time, in turn, each time in another way, with the faults "
        "of `bench.availability`."
    )
    total = sum(sum(counts.values()) for counts in soak.counts.values())
    left = ", ".join(f"{count:g} {name}" for name, count in soak.left_over.items()) or "nothing"
    yield ""
    yield (
        f"{total:,} requests. Silently truncated, duplicated or wrong answers: {soak.silently_wrong}. Memory in the "
        f"second half: {slope_mb_per_hour(soak.samples):+.2f} MB per hour. Left over after the load: {left}, "
        f"{soak.drain_s:.1f} s after its end. Not sent, because too many requests were in flight: {soak.skipped}."
    )
    yield ""
    yield "## Requests"
    yield ""
    yield "| load | requests | ok | error | left by the client | others |"
    yield "|---|--:|--:|--:|--:|---|"
    for kind, counts in soak.counts.items():
        yield _load_row(kind, counts)
    yield ""
    yield "## Memory and resources"
    yield ""
    yield from _table(soak)


def _load_row(kind: str, counts: Counter[str]) -> str:
    shown = ("ok", "error", "left")
    others = ", ".join(f"{outcome} {count}" for outcome, count in sorted(counts.items()) if outcome not in shown)
    figures = " | ".join(f"{counts[outcome]:,}" for outcome in shown)
    return f"| {kind} | {sum(counts.values()):,} | {figures} | {others} |"


def _table(soak: Soak) -> Iterator[str]:
    """Yield a column for each moment, which would be too many rows the other way round."""
    step = max(1, len(soak.samples) // _ROWS)
    shown = soak.samples[step - 1 :: step]
    columns = ["before", *(f"{each.at_s / 60:.0f} min" for each in shown), "highest", "after"]
    yield f"| figure | {' | '.join(columns)} |"
    yield "|---|" + "--:|" * len(columns)
    most = highest(soak.samples)
    top_mb = max(each.rss_mb for each in soak.samples)
    memory = [soak.idle.rss_mb, *(each.rss_mb for each in shown), top_mb, soak.after.rss_mb]
    yield f"| memory in MB | {' | '.join(f'{value:.1f}' for value in memory)} |"
    for name in most:
        values = [soak.idle.values[name], *(each.values[name] for each in shown), most[name], soak.after.values[name]]
        title = f"**{name}**" if name in RETURNING else name
        yield f"| {title} | {' | '.join(f'{value:,.0f}' for value in values)} |"
    yield ""
    yield "The figures in bold must be after the load what they were before."
