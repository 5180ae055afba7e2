"""Who may do what: whether keys are required, what a wrong key gets, whose requests a key reads, what health shows."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway.fixtures import digest
from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.gateway.raw_http import RawConnection
from tests.support.http_corpus_load import cpu_seconds, resident_bytes

KEYS = {
    "admin": ("default", ["admin"], ["*"]),
    "ann": ("north", [], ["fake/echo"]),
    "ben": ("north", [], ["*"]),
    "reader": ("north", ["requests:read"], ["*"]),
    "cid": ("south", [], ["*"]),
}


def secret(name: str) -> str:
    return f"sk-{name}-0123456789abcdef"


def config(**sections: Any) -> dict[str, Any]:
    keys = [
        {"key": digest(secret(name)), "name": name, "tenant": tenant, "grants": grants, "models": models}
        for name, (tenant, grants, models) in KEYS.items()
    ]
    tenants: dict[str, Any] = {"north": {}, "south": {}}
    return {"providers": {"fake": {"vendor": "fake"}}, "tenants": tenants, "keys": keys, **sections}


@pytest.fixture(scope="module", params=["required", "optional"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    auth: dict[str, Any] = {} if request.param == "required" else {"auth": {"required": False}}
    with GatewayProcess(config(**auth), tmp_path_factory.mktemp("access"), admin_key=secret("admin")) as running:
        yield running


def is_optional(gateway: GatewayProcess) -> bool:
    return "auth" in json.loads(gateway.config_file.read_text())


def send(gateway: GatewayProcess, who: str | None, model: str = "fake/echo") -> httpx.Response:
    headers = {"authorization": f"Bearer {secret(who)}"} if who else {}
    return httpx.post(f"{gateway.base_url}/chat/completions", json=chat_request(model=model), headers=headers)


def test_keys_are_required_on_loopback_unless_configured_otherwise(gateway: GatewayProcess) -> None:
    assert send(gateway, None).status_code == (200 if is_optional(gateway) else 401)
    assert send(gateway, "ann").status_code == 200


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/api/v1/models", "/api/v1/requests", "/api/v1/health"])
def test_wrong_key_is_always_rejected(gateway: GatewayProcess, header: str, path: str) -> None:
    value = "Bearer sk-wrong" if header == "authorization" else "sk-wrong"
    answer = httpx.get(gateway.url + path, headers={header: value})
    assert answer.status_code == 401


def test_key_permits_no_less_than_no_key(gateway: GatewayProcess) -> None:
    assert send(gateway, "ann", "fake/think").status_code == (200 if is_optional(gateway) else 404)


def test_key_reads_its_own_requests_only(gateway: GatewayProcess) -> None:
    ids = {name: send(gateway, name).headers["x-request-id"] for name in KEYS}
    for request_id in ids.values():
        gateway.record(request_id)
    for reader, expected in {
        "ann": {"ann"},
        "cid": {"cid"},
        "reader": {"ann", "ben", "reader"},
        "admin": set(KEYS),
    }.items():
        key = secret(reader)
        page = gateway.get("/api/v1/requests", key=key, limit=200).json()["requests"]
        listed = {row["request_id"] for row in page}
        assert {name for name, request_id in ids.items() if request_id in listed} == expected
        shown = {name for name in ids if gateway.get(f"/api/v1/requests/{ids[name]}", key=key).status_code == 200}
        assert shown == expected


def test_key_follows_its_own_requests_only(gateway: GatewayProcess) -> None:
    headers = {"authorization": f"Bearer {secret('ann')}"}
    with httpx.stream("GET", f"{gateway.url}/api/v1/requests/tail", headers=headers, timeout=10) as tail:
        lines = tail.iter_lines()
        assert next(lines) == ": connected"
        others = [send(gateway, name).headers["x-request-id"] for name in ("ben", "reader", "admin")]
        mine = send(gateway, "ann").headers["x-request-id"]
        followed = next(json.loads(line[6:])["request_id"] for line in lines if line.startswith("data: "))
    assert followed == mine
    assert followed not in others


@pytest.mark.parametrize("who", [None, "ann", "reader"])
def test_health_shows_liveness_only_without_the_admin_grant(gateway: GatewayProcess, who: str | None) -> None:
    headers = {"authorization": f"Bearer {secret(who)}"} if who else {}
    for path in ("/api/v1/health", "/api/health"):
        assert httpx.get(gateway.url + path, headers=headers).json().keys() == {"status", "timestamp"}


def test_health_shows_everything_to_an_admin(gateway: GatewayProcess) -> None:
    assert {"version", "services", "warnings", "in_flight"} <= gateway.get("/api/v1/health").json().keys()


def test_readiness_names_no_files(gateway: GatewayProcess) -> None:
    assert httpx.get(f"{gateway.url}/health/ready").json() in (
        {"status": "ready", "detail": "store: ok"},
        {"status": "ready", "detail": "store: starting"},
    )


def test_metrics_and_credentials_need_the_admin_grant(gateway: GatewayProcess) -> None:
    for path in ("/metrics", "/api/v1/credentials"):
        assert gateway.get(path, key=secret("reader")).status_code == 403
        assert httpx.get(gateway.url + path).status_code == (403 if is_optional(gateway) else 401)
        assert gateway.get(path).status_code == 200


def test_gateway_without_keys_gives_everything_to_everyone(tmp_path: Path) -> None:
    with GatewayProcess(config(keys=[]), tmp_path) as gateway:
        headers = {"authorization": "Bearer any", "x-unused": "1"}
        assert httpx.get(f"{gateway.url}/v1/models", headers=headers).status_code == 200
        assert "services" in gateway.get("/api/v1/health").json()
        request_id = send(gateway, None).headers["x-request-id"]
        assert gateway.record(request_id)["tenant"] == "default"


def test_reload_does_not_change_who_an_unnamed_key_is(tmp_path: Path) -> None:
    admin, unnamed, new = ({"key": digest(secret(name))} for name in ("admin", "unnamed", "new"))
    named = {**admin, "name": "admin", "grants": ["admin"]}
    with GatewayProcess(config(keys=[named, unnamed]), tmp_path, admin_key=secret("admin")) as gateway:
        before = gateway.record(send(gateway, "unnamed").headers["x-request-id"])["key_name"]
        assert before == f"key-{unnamed['key'][7:19]}"
        gateway.configure(config(keys=[new, named, unnamed]))
        gateway.signal(signal.SIGHUP)
        until(lambda: send(gateway, "new").status_code == 200, "the new key is known")
        assert gateway.record(send(gateway, "unnamed").headers["x-request-id"])["key_name"] == before


SERVED_PATHS = [
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/embeddings",
    "/v1beta/models/fake%2Fecho:generateContent",
    "/api/chat",
    "/v1/files",
]
PAGES = ["/v1/models", "/metrics", "/api/tags", "/api/v1/models"]
SOCKETS = ["/v1/ws", "/v1/realtime"]
HANDSHAKE = {
    "connection": "upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_refused_strangers_are_logged_with_endpoint_and_address(tmp_path: Path) -> None:
    key = secret("wrong-and-long-enough")
    with GatewayProcess(config(), tmp_path, admin_key=secret("admin")) as gateway:
        root = gateway.base_url.removesuffix("/v1")
        for path in SERVED_PATHS:
            response = httpx.post(f"{root}{path}", json={}, headers={"authorization": f"Bearer {key}"})
            assert response.status_code == 401, path
        for path in PAGES:
            assert httpx.get(f"{root}{path}").status_code == 401, path
        for path in SOCKETS:
            assert httpx.get(f"{root}{path}?model=fake/echo", headers=HANDSHAKE).status_code == 401, path
        lines = [line for line in gateway.stderr().splitlines() if "unidentified caller" in line]
    for path, line in zip([*SERVED_PATHS, *PAGES, *SOCKETS], lines, strict=True):
        assert f" of {path} from 127.0.0.1. " in line
        assert key not in line


def test_flood_of_wrong_keys_fills_neither_memory_nor_log(tmp_path: Path) -> None:
    # Each key is new, and so is each head: nothing may be remembered for every key.
    def flood(link: RawConnection, first: int, count: int) -> None:
        for at in range(first, first + count, 50):
            keys = [f"sk-{number:08d}-{'x' * 500}" for number in range(at, at + 50)]
            for key in keys:
                link.send_post(b"{}", authorization=f"Bearer {key}")
            for _ in keys:
                assert link.answer().status == 401

    with GatewayProcess(config(), tmp_path, admin_key=secret("admin")) as gateway:
        with RawConnection(gateway.port) as link:
            flood(link, 0, 12_000)
            before, cpu_before_s = resident_bytes(gateway.process.pid), cpu_seconds(gateway.process.pid)
            flood(link, 12_000, 10_000)
        grown = resident_bytes(gateway.process.pid) - before
        assert grown < 8 * 1024 * 1024, grown
        assert (cpu_seconds(gateway.process.pid) - cpu_before_s) / 10_000 < 0.002
        lines = [line for line in gateway.stderr().splitlines() if "sk-" in line]
        assert 20 <= len(lines) < 60
        metrics = gateway.get("/metrics", key=secret("admin")).text
        assert re.search(r"^intellirouter_refused_strangers 22000(\.0)?$", metrics, re.MULTILINE)
        assert send(gateway, "ann").status_code == 200
