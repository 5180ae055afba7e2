"""The result of a run: a description of the machine, tables as Markdown, all figures as JSON."""

import json
import os
import platform
import shutil
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bench.measure import Figures, Run
from bench.pairs import PAIRS
from bench.targets import Target
from bench.upstream import nginx_path

ROOT: Final = Path(__file__).parents[1]

REQUEST_COLUMNS: Final = (
    ("CPU µs/request", "cpu_us_per_request", "{:,.1f}"),
    ("x nginx", "cpu_ratio_per_request", "{:.2f}"),
    ("x ours", "cpu_ratio_to_ours_per_request", "{:.2f}"),
    ("requests/s", "requests_per_s", "{:,.0f}"),
    ("at rate/s", "half_load_per_s", "{:,.0f}"),
    ("added p50 µs", "added_p50_us", "{:,.0f}"),
    ("added p95 µs", "added_p95_us", "{:,.0f}"),
    ("added p99 µs", "added_p99_us", "{:,.0f}"),
    ("RSS idle MB", "rss_idle_mb", "{:,.0f}"),
    ("RSS after MB", "rss_after_load_mb", "{:,.0f}"),
    ("errors", "request_errors", "{:,.0f}"),
)
STREAM_COLUMNS: Final = (
    ("CPU µs/stream", "cpu_us_per_stream", "{:,.1f}"),
    ("x nginx", "cpu_ratio_per_stream", "{:.2f}"),
    ("x ours", "cpu_ratio_to_ours_per_stream", "{:.2f}"),
    ("streams/s", "streams_per_s", "{:,.0f}"),
    ("first byte + p50 µs", "first_byte_added_p50_us", "{:,.0f}"),
    ("first byte + p95 µs", "first_byte_added_p95_us", "{:,.0f}"),
    ("errors", "stream_errors", "{:,.0f}"),
    ("slow at once", "slow_streams_at_once", "{:,.0f}"),
    ("slow errors", "slow_streams_errors", "{:,.0f}"),
    ("slow CPU µs/stream", "slow_streams_cpu_us", "{:,.0f}"),
    ("slow RSS peak MB", "slow_streams_rss_peak_mb", "{:,.0f}"),
)
PAIR_COLUMNS: Final = (
    ("CPU µs/request", "cpu_us_per_request", "{:,.1f}"),
    ("x nginx", "cpu_ratio_per_request", "{:.2f}"),
    ("x own relay", "cpu_ratio_to_relay_per_request", "{:.2f}"),
    ("x ours", "cpu_ratio_to_ours_per_request", "{:.2f}"),
    ("CPU µs/stream", "cpu_us_per_stream", "{:,.1f}"),
    ("x nginx", "cpu_ratio_per_stream", "{:.2f}"),
    ("x own relay", "cpu_ratio_to_relay_per_stream", "{:.2f}"),
    ("x ours", "cpu_ratio_to_ours_per_stream", "{:.2f}"),
    ("errors", "request_errors", "{:,.0f}"),
)
START_COLUMNS: Final = (
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
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, Linux {machine['kernel']}, "
        f"Python {machine['python']}, commit {machine['commit']}, load before the start {machine['load_before']}. "
        f"{plan.rounds} rounds of {plan.seconds:g} s each, medians; one core for the measured program, "
        "the others for load and upstream."
    )
    parts = [f"# Benchmark of {started}", facts]
    for title, columns in (("Requests", REQUEST_COLUMNS), ("Streams", STREAM_COLUMNS)):
        if table := _table(run.targets, run.figures, columns):
            parts += [f"## {title}", table]
    for pair in PAIRS:
        if table := _table(run.targets, run.pair_figures.get(pair.name, {}), PAIR_COLUMNS):
            parts += [f"## {pair.title}", table]
    if table := _table(run.targets, run.figures, START_COLUMNS):
        parts += ["## Start", table]
    remarks = [f"- {target.title}: {target.find_version()}" for target in run.targets]
    remarks += [f"- {target.title}: not installed" for target in missing]
    remarks += [f"- {note}" for note in run.notes]
    parts += ["## Remarks", "\n".join(remarks)]
    return "\n\n".join(parts) + "\n"


def _table(
    targets: list[Target], all_figures: dict[str, Figures], columns: tuple[tuple[str, str, str], ...]
) -> str | None:
    rows = [["", *(title for title, _, _ in columns)]]
    for target in targets:
        figures = all_figures.get(target.name, {})
        if any(key in figures for _, key, _ in columns):
            rows.append([target.title, *(_cell(figures, key, form) for _, key, form in columns)])
    if len(rows) == 1:
        return None
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(_padded(row, widths)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 1) + (":" if at else "-") for at, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _cell(figures: Figures, key: str, form: str) -> str:
    return form.format(figures[key]) if key in figures else "-"


def _padded(row: list[str], widths: list[int]) -> list[str]:
    return [
        text.rjust(width) if at else text.ljust(width) for at, (text, width) in enumerate(zip(row, widths, strict=True))
    ]


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
        "plan": asdict(run.plan),
        "figures": run.figures,
        "pair_figures": run.pair_figures,
        "not_installed": [target.name for target in missing],
        "notes": run.notes,
    }
    base.with_suffix(".json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return text, base.with_suffix(".md")
