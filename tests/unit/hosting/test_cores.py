import os
import time
from pathlib import Path

import pytest

from intellirouter.hosting import cores


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four logical CPUs on two cores, no quota."""
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        (tmp_path / str(cpu)).write_text(f"{siblings}\n")
    monkeypatch.setattr(cores, "TOPOLOGY", f"{tmp_path}/{{}}")
    monkeypatch.setattr(cores, "CGROUP_CPU_MAX", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    return tmp_path


def test_hyperthreads_count_once(machine: Path) -> None:
    assert cores.usable_cores() == 2
    assert cores.default_threads() == 1


def test_affinity_limits_the_cores(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2}, raising=False)
    assert cores.usable_cores() == 1
    assert cores.default_threads() == 1, "never none"


def test_without_topology_every_cpu_counts(machine: Path) -> None:
    for cpu in range(4):
        (machine / str(cpu)).unlink()
    assert cores.usable_cores() == 4
    assert cores.default_threads() == 3


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("150000 100000", 1), ("50000 100000", 1), ("max 100000", 2), ("900000 100000", 2), ("odd", 2)],
)
def test_a_container_quota_limits_the_cores(machine: Path, quota: str, expected: int) -> None:
    (machine / "cpu.max").write_text(f"{quota}\n")
    assert cores.usable_cores() == expected


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU time is read from /proc")
def test_cpu_time_of_a_process() -> None:
    cpu_s = cores.process_cpu_s(os.getpid())
    assert cpu_s is not None
    assert cpu_s == pytest.approx(time.process_time(), abs=0.2)
    assert cores.process_cpu_s(2**22 + 1) is None
