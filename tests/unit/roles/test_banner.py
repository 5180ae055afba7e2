"""What `serve` prints: the summary at the start, and the progress of local models."""

import io
from pathlib import Path

import pytest

from intellirouter.config import compile_config, load_config
from intellirouter.hosting import ArtifactProgress, FetchPhase, WorkerState, WorkerView
from intellirouter.providers import VENDORS
from intellirouter.roles.banner import HostProgress, print_banner

LAB = "providers: {lab: {vendor: openai-compatible, base_url: 'http://127.0.0.1:9/v1', credentials: []%s}}\n"


def banner(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    config = load_config(path, environ={}).config
    runtime = compile_config(config, vendors=VENDORS, strategies=("priority",), environ={})
    print_banner(runtime, None, ("127.0.0.1", 8080), path)
    return capsys.readouterr().out


def test_configuration_without_named_models_has_no_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = banner(LAB % ', models: "*"', tmp_path, capsys)
    assert "  models   lab/*\n" in shown
    assert "Try it" not in shown
    shown = banner(LAB % "", tmp_path, capsys)
    assert '  models   none: add some under `deployments`, or set `models: "*"` of a provider\n' in shown
    assert "Try it" not in shown


def test_example_uses_a_model_of_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert '"model": "magic/echo"' in banner("providers: {magic: {vendor: fake}}", tmp_path, capsys)
    shown = banner(LAB % "" + "deployments: {mini: {provider: lab, model: m}}", tmp_path, capsys)
    assert '"model": "mini"' in shown


def test_progress_is_one_line_per_phase_and_tenth_of_a_download() -> None:
    out = io.StringIO()
    progress = HostProgress(out)

    def fetch(phase: FetchPhase, percent: int) -> None:
        detail = str(ArtifactProgress("bundled:x", phase, percent * 1024**2, 100 * 1024**2))
        progress.show(WorkerView(name="m", state=WorkerState.FETCHING, detail=detail, percent=percent))

    for phase in (FetchPhase.DOWNLOADING, FetchPhase.EXTRACTING):
        for percent in range(101):
            fetch(phase, percent)
    progress.show(WorkerView(name="m", state=WorkerState.LOADING, detail="Loading bundled:x."))
    progress.show(WorkerView(name="m", state=WorkerState.READY, cold_start_ms=812.4))
    progress.show(WorkerView(name="m", state=WorkerState.STOPPED))
    assert out.getvalue().splitlines() == [
        *(f"  m: Downloading bundled:x: {tenth} % ({tenth} of 100 MiB)." for tenth in range(0, 101, 10)),
        "  m: Extracting bundled:x.",
        "  m: Loading bundled:x.",
        "  m: Ready. Loading took 812 ms.",
        "  m: Stopped.",
    ]
