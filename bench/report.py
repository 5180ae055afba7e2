"""The result of a run: a description of the machine, tables as Markdown, all figures as JSON."""

import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from bench.pairs import SIZES
from bench.processes import MachineTime
from bench.run import UNITS, Case, Figures, Plan, Run
from bench.targets import Target
from bench.upstream import nginx_path

ROOT: Final = Path(__file__).parents[1]

Column = tuple[str, str, str]
"""Title, name of the figure, format."""

LOOP_COLUMNS: Final[tuple[Column, ...]] = (
    ("CPU µs", "cpu_us", "{:,.1f}"),
    ("lowest", "cpu_us_lowest", "{:,.1f}"),
    ("highest", "cpu_us_highest", "{:,.1f}"),
    ("x nginx", "ratio_to_reference", "{:.2f}"),
    ("x SMG", "ratio_to_yardstick", "{:.2f}"),
    ("x ours", "ratio_to_ours", "{:.2f}"),
    ("x own relay", "ratio_to_relay", "{:.2f}"),
    ("per s", "per_s", "{:,.0f}"),
    ("errors", "errors", "{:,.0f}"),
)
HALF_LOAD_COLUMNS: Final[tuple[Column, ...]] = (
    ("at rate/s", "rate_per_s", "{:,.0f}"),
    ("added p50 µs", "added_p50_us", "{:,.0f}"),
    ("added p95 µs", "added_p95_us", "{:,.0f}"),
    ("added p99 µs", "added_p99_us", "{:,.0f}"),
    ("p99 lowest", "added_p99_us_lowest", "{:,.0f}"),
    ("p99 highest", "added_p99_us_highest", "{:,.0f}"),
    ("errors", "errors", "{:,.0f}"),
)
FIRST_BYTE_COLUMNS: Final[tuple[Column, ...]] = (
    ("added p50 µs", "added_p50_us", "{:,.0f}"),
    ("added p95 µs", "added_p95_us", "{:,.0f}"),
)
MEMORY_COLUMNS: Final[tuple[Column, ...]] = (
    ("RSS idle MB", "rss_idle_mb", "{:,.0f}"),
    ("after requests", "rss_after_requests_mb", "{:,.0f}"),
    ("after streams", "rss_after_streams_mb", "{:,.0f}"),
)
SLOW_COLUMNS: Final[tuple[Column, ...]] = (
    ("at once", "at_once", "{:,.0f}"),
    ("errors", "errors", "{:,.0f}"),
    ("CPU µs/stream", "cpu_us", "{:,.0f}"),
    ("RSS idle MB", "rss_idle_mb", "{:,.0f}"),
    ("RSS peak MB", "rss_peak_mb", "{:,.0f}"),
    ("RSS after MB", "rss_after_mb", "{:,.0f}"),
)
START_COLUMNS: Final[tuple[Column, ...]] = (
    ("import ms", "import_ms", "{:,.0f}"),
    ("ready ms", "ready_ms", "{:,.0f}"),
    ("first answer ms", "first_answer_ms", "{:,.0f}"),
    ("RSS MB", "rss_after_first_answer_mb", "{:,.0f}"),
)


def machine_facts() -> dict[str, Any]:
    """Return the facts that the figures depend on. They do not identify the machine."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith(("model name", "Model"))
        ),
        platform.machine(),
    )
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory_kb / 1e6, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "nginx": _first_line([nginx_path(), "-v"]),
        "wrk": _first_line(["wrk", "-v"]),
        "h2load": _first_line(["h2load", "--version"]),
        "node": _first_line(["node", "--version"]),
        "load_before": round(os.getloadavg()[0], 2),
        "commit": _commit(),
    }


def disturbance(before: MachineTime, after: MachineTime) -> dict[str, float]:
    """Return how much of the machine others used, for the facts about it."""
    others, stolen = after.others_since(before)
    return {"others_percent": round(others * 100, 1), "stolen_percent": round(stolen * 100, 1)}


def _first_line(command: list[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    lines = (run.stdout + run.stderr).splitlines()
    return lines[0].partition(" Copyright")[0].strip() if lines else None


def _commit() -> str | None:
    if shutil.which("git") is None:
        return None
    run = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )
    return run.stdout.strip() or None


def render(run: Run, machine: dict[str, Any], missing: list[Target], started: str) -> str:
    """Return the result as Markdown, which is also printed."""
    plan = run.plan
    facts = (
        f"{describe(machine)} {plan.rounds} rounds of {plan.seconds:g} s each, medians; one core for the measured "
        f"program, the others for load and upstream. Bodies: {', '.join(size.title for size in plan.sizes)}. "
        f"Requests or streams at once in closed loops: {', '.join(map(str, plan.connections))}."
    )
    parts = [f"# Benchmark of {started}", facts]
    for title, rows, columns in [*_loop_tables(run), *_other_tables(run)]:
        if table := markdown_table(("load", "program"), rows, columns):
            parts += [f"## {title}", table]
    remarks = [f"- {target.title}: {target.find_version()}" for target in run.targets]
    remarks += [f"- {target.title}: not installed" for target in missing]
    remarks += [f"- {note}" for note in run.notes]
    parts += ["## Remarks", "\n".join(remarks)]
    return "\n\n".join(parts) + "\n"


def describe(machine: dict[str, Any]) -> str:
    """Return sentences that name the processor, the versions, and how busy the machine was."""
    text = (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, Linux {machine['kernel']}, "
        f"Python {machine['python']}, commit {machine['commit']}, load before the start {machine['load_before']}."
    )
    if "others_percent" in machine:
        text += (
            f" During the run, other programs used {machine['others_percent']:g} % of the machine, and other virtual "
            f"machines {machine['stolen_percent']:g} %."
        )
    return text


Row = tuple[tuple[str, str], Figures]
"""Load and title of a program, figures."""


def _loop_tables(run: Run) -> Iterator[tuple[str, list[Row], tuple[Column, ...]]]:
    """Yield the closed loops: one table for each pair of dialects, for requests and for streams."""
    for unit in UNITS:
        for pair in run.plan.pairs:
            loads = [
                Case(unit, pair, size, connections) for size in run.plan.sizes for connections in run.plan.connections
            ]
            rows = [row for case in loads for row in _rows(run, case.load, case.name)]
            yield f"{unit.capitalize()}s, {pair.title}: CPU per {unit}", rows, LOOP_COLUMNS


def _other_tables(run: Run) -> Iterator[tuple[str, list[Row], tuple[Column, ...]]]:
    by_size = (
        ("Latency at half load", "half load", HALF_LOAD_COLUMNS),
        ("Latency at half of SMG's load", "equal load", HALF_LOAD_COLUMNS),
        ("Time to the first byte of a stream", "first byte", FIRST_BYTE_COLUMNS),
        ("Memory", "memory", MEMORY_COLUMNS),
    )
    for title, name, columns in by_size:
        yield title, [row for size in SIZES for row in _rows(run, size.title, f"{name} {size.name}")], columns
    counts = run.plan.slow_streams
    slow = [row for count in counts for row in _rows(run, f"{count:,} streams", f"slow streams {count}")]
    yield "Slow streams", slow, SLOW_COLUMNS
    minutes = [(f"{minute}", f"minute_{minute}_mb", "{:,.0f}") for minute in range(run.plan.soak_minutes + 1)]
    soak = [row for unit in UNITS for row in _rows(run, f"{unit}s", f"soak {unit}")]
    more = (("MB/minute", "slope_mb_per_minute", "{:+.2f}"), ("errors", "errors", "{:,.0f}"))
    yield "Resident memory in MB, by minutes of load", soak, (*minutes, *more)
    yield "Start", _rows(run, "new processes", "start"), START_COLUMNS


def _rows(run: Run, load: str, measurement: str) -> list[Row]:
    measured = run.figures.get(measurement, {})
    return [((load, target.title), measured[target.name]) for target in run.targets if target.name in measured]


def markdown_table(
    labels: tuple[str, ...], rows: Sequence[tuple[tuple[str, ...], Figures]], columns: Sequence[Column]
) -> str | None:
    """Return a table, or None without rows.

    Omits columns without figures, and labels that are the same in all rows. Repeated labels are shown once.
    """
    columns = [column for column in columns if any(column[1] in figures for _, figures in rows)]
    if not columns:
        return None
    varying = [at for at in range(len(labels)) if at == len(labels) - 1 or len({row[0][at] for row in rows}) > 1]
    lines = [[*(labels[at] for at in varying), *(title for title, _, _ in columns)]]
    shown: tuple[str, ...] = ("",) * len(labels)
    for names, figures in rows:
        cells = ["" if at != varying[-1] and names[at] == shown[at] else names[at] for at in varying]
        lines.append([*cells, *(_cell(figures, key, form) for _, key, form in columns)])
        shown = names
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    drawn = ["| " + " | ".join(_padded(line, widths, len(varying))) + " |" for line in lines]
    rule = "|".join("-" * (width + 1) + ("-" if at < len(varying) else ":") for at, width in enumerate(widths))
    return "\n".join([drawn[0], f"|{rule}|", *drawn[1:]])


def _cell(figures: Figures, key: str, form: str) -> str:
    return form.format(figures[key]) if key in figures else "-"


def _padded(line: list[str], widths: list[int], labels: int) -> list[str]:
    cells = enumerate(zip(line, widths, strict=True))
    return [text.ljust(width) if at < labels else text.rjust(width) for at, (text, width) in cells]


def _plan(plan: Plan) -> dict[str, Any]:
    """Return the plan with the names of sizes and pairs."""
    names = {"sizes": [size.name for size in plan.sizes], "pairs": [pair.name for pair in plan.pairs]}
    return {field.name: names.get(field.name, getattr(plan, field.name)) for field in fields(plan)}


def write(run: Run, machine: dict[str, Any], missing: list[Target], name: str) -> tuple[str, Path]:
    """Write results/<date>-<name>.md and .json. Return the text and the path of the Markdown file."""
    started = time.strftime("%Y-%m-%d")
    text = render(run, machine, missing, started)
    base = ROOT / "bench" / "results" / f"{started}-{name}"
    base.parent.mkdir(exist_ok=True)
    base.with_suffix(".md").write_text(text, encoding="utf-8")
    result = {
        "date": started,
        "machine": machine,
        "plan": _plan(run.plan),
        "figures": run.figures,
        "not_installed": [target.name for target in missing],
        "notes": run.notes,
    }
    base.with_suffix(".json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return text, base.with_suffix(".md")
