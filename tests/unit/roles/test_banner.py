"""What `serve` prints: the summary at the start, and the progress of local models."""

import io
import ipaddress
from pathlib import Path

import pytest

from intellirouter.config import compile_config, load_config
from intellirouter.hosting import ArtifactProgress, FetchPhase, WorkerState, WorkerView
from intellirouter.providers import VENDORS
from intellirouter.roles import network_addresses
from intellirouter.roles.banner import HostProgress, print_banner

LAB = "providers: {lab: {vendor: openai-compatible, base_url: 'http://127.0.0.1:9/v1', credentials: []%s}}\n"


def banner(
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    host: str = "127.0.0.1",
    environ: dict[str, str] | None = None,
) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    config = load_config(path, environ={}).config
    variables = {"K": "sk-1", **(environ or {})}
    runtime = compile_config(config, vendors=VENDORS, strategies=("priority",), environ=variables)
    print_banner(runtime, None, (host, 8080), path)
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


def test_banner_names_proxies_without_their_logins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """\
providers:
  lab: {vendor: openai-compatible, base_url: 'http://127.0.0.1:9/v1', credentials: []}
  a: {vendor: openai, credentials: []}
  b: {vendor: groq, credentials: []}
  c: {vendor: groq, credentials: [], proxy: 'http://ann:s3cret@own.example:3128'}
"""
    shown = banner(text, tmp_path, capsys, environ={"HTTPS_PROXY": "http://ann:s3cret@corp.example:8080"})
    assert "  proxy    http://corp.example:8080 (HTTPS_PROXY) for a, b\n" in shown
    assert "  proxy    http://own.example:3128 for c\n" in shown
    assert "s3cret" not in shown
    assert "proxy" not in banner(LAB % "", tmp_path, capsys, environ={"ALL_PROXY": "http://corp.example"})


KEYS = "keys: [{key: 'env:K'}]\n"
OPEN = "auth: {required: false}\n"


@pytest.mark.parametrize(
    ("text", "auth"),
    [
        ("", "no API key required\n"),
        (KEYS, "API key required\n"),
        (KEYS + OPEN, "no API key required, but a wrong key is rejected\n"),
    ],
)
def test_banner_says_whether_a_key_is_required(
    text: str, auth: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = banner(text, tmp_path, capsys)
    assert f"  auth     {auth}" in shown
    assert "network" not in shown


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_addresses, "_ipv4_addresses", lambda: ["127.0.0.1", "192.0.2.1", "169.254.1.1"])
    monkeypatch.setattr(network_addresses, "_ipv6_addresses", lambda: ["::1", "2001:db8::1", "fe80::1"])


@pytest.mark.usefixtures("addresses")
@pytest.mark.parametrize(("text", "access"), [(OPEN, "without an API key"), (KEYS, "with an API key")])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_banner_shows_all_addresses_at_which_other_machines_reach_the_gateway(
    text: str, access: str, host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = banner(f"server: {{host: '{host}'}}\n{text}", tmp_path, capsys, host)
    urls = {
        "0.0.0.0": "http://192.0.2.1:8080",
        "::": "http://192.0.2.1:8080, http://[2001:db8::1]:8080",
        "192.0.2.7": "http://192.0.2.7:8080",
    }
    assert f"  network  {urls[host]}\n" in shown
    assert f"Every machine that can reach this address can send requests {access}.\n" in shown


def test_addresses_of_this_machine_are_addresses() -> None:
    for address in network_addresses.reachable_addresses("::"):
        assert not ipaddress.ip_address(address).is_loopback


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


def test_weights_that_cannot_be_fetched_are_reported_once() -> None:
    out = io.StringIO()
    progress = HostProgress(out)
    problem = "The weights cannot be fetched. No network."
    for attempt in range(3):
        progress.show(WorkerView(name="m", state=WorkerState.FETCHING, detail="Looking for x.", problem=problem))
        detail = "Downloading x: 0 % (0 of 88 MiB)."
        progress.show(WorkerView(name="m", state=WorkerState.FETCHING, detail=detail, percent=0, problem=problem))
        detail = f"No network. Next attempt in {2**attempt} s."
        progress.show(WorkerView(name="m", state=WorkerState.BACKOFF, detail=detail, problem=problem))
    detail = "Downloading x: 50 % (44 of 88 MiB)."
    progress.show(WorkerView(name="m", state=WorkerState.FETCHING, detail=detail, percent=50, problem=problem))
    assert out.getvalue().splitlines() == [
        "  m: Unavailable. The weights cannot be fetched. No network. The gateway keeps trying.",
        "  m: Downloading x: 50 % (44 of 88 MiB).",
    ]
