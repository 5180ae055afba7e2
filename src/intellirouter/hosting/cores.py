"""How many CPU cores are available, and how much CPU time a process has used."""

import os
from pathlib import Path

CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def default_threads() -> int:
    """Return the number of usable physical cores minus one for the gateway, but at least one.

    One thread too many is far worse than one too few: the threads wait for each other in every layer, so one disturbed
    core stalls them all (measured in DESIGN.md).
    """
    return max(1, usable_cores() - 1)


def usable_cores() -> int:
    """Return the number of physical cores within this process's affinity and its container's CPU quota."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = len({_siblings(cpu) for cpu in allowed})
    return max(1, min(cores, _quota_cores() or cores))


def _siblings(cpu: int) -> str:
    """Return an identifier of the physical core of a logical one."""
    try:
        return Path(TOPOLOGY.format(cpu)).read_text(encoding="ascii").strip()
    except OSError:
        return str(cpu)  # no topology available: count it as a core


def _quota_cores() -> int | None:
    """Return the container's limit in whole cores (cgroup v2), or None if there is no limit."""
    try:
        quota, period = CGROUP_CPU_MAX.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else max(1, int(quota) // int(period))


def process_cpu_s(pid: int) -> float | None:
    """Return the CPU seconds used by `pid` so far, or None if they are not available (no /proc, no such process)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])  # utime and stime: fields 14 and 15 of proc(5), minus pid, name and one
    return ticks / os.sysconf("SC_CLK_TCK")
