"""How much of the machine there is to compute with, and how much of it a process has used."""

import os
from pathlib import Path

CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def default_threads() -> int:
    """Physical cores that we may use, less one for the gateway, at least one.

    One thread too many is far worse than one too few: the threads wait for each other in every layer, so a single
    disturbed core stalls them all (measured in DESIGN.md).
    """
    return max(1, usable_cores() - 1)


def usable_cores() -> int:
    """Physical cores within this process's affinity and its container's CPU quota."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = len({_siblings(cpu) for cpu in allowed})
    return max(1, min(cores, _quota_cores() or cores))


def _siblings(cpu: int) -> str:
    """Name of the physical core of a logical one."""
    try:
        return Path(TOPOLOGY.format(cpu)).read_text(encoding="ascii").strip()
    except OSError:
        return str(cpu)  # no topology to be read: count it as a core


def _quota_cores() -> int | None:
    """The container's limit in whole cores (cgroup v2); None when there is none."""
    try:
        quota, period = CGROUP_CPU_MAX.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else max(1, int(quota) // int(period))


def process_cpu_s(pid: int) -> float | None:
    """CPU seconds used by `pid` so far; None where that cannot be told (no /proc, no such process)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])  # utime, stime: fields 14 and 15 of proc(5), less pid, name and one
    return ticks / os.sysconf("SC_CLK_TCK")
