"""Several credentials of one provider: a rejected one cools down, and the next one is used instead."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS, key_rows
from tests.support.gateway.process import GatewayProcess, chat_request

GOOD, BAD = "sk-good-0123456789abcdef", "sk-bad-0123456789abcdef0"


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[GatewayProcess]:
    with MockVendor(api_key=GOOD) as vendor:
        for name, key in (("bad", BAD), ("good", GOOD)):
            (tmp_path / name).write_text(key)
        credentials = [f"file:{tmp_path}/bad", f"file:{tmp_path}/good"]
        config: dict[str, Any] = {
            "providers": {
                "lab": {
                    "vendor": "openai-compatible",
                    "base_url": vendor.base_url,
                    "credentials": credentials,
                    "models": "*",
                }
            },
            "tenants": {"north": {}, "south": {}},
            "keys": key_rows(),
            "auth": {"required": True},
        }
        with GatewayProcess(config, tmp_path, admin_key=KEYS["admin"]) as running:
            yield running


def call(gateway: GatewayProcess, path: str, who: str = "admin") -> httpx.Response:
    return httpx.get(f"{gateway.url}{path}", headers={"authorization": f"Bearer {KEYS[who]}"})


def test_refused_credential_cools_down_and_the_client_does_not_notice(secured: GatewayProcess) -> None:
    headers = {"authorization": f"Bearer {KEYS['ann']}"}
    answers = []
    for stream in (False, True, False, True):
        answer = httpx.post(
            f"{secured.base_url}/chat/completions", json=chat_request(model="lab/any", stream=stream), headers=headers
        )
        assert answer.status_code == 200
        answers.append(answer)
    assert sorted(each.headers["x-intellirouter-attempts"] for each in answers) == ["1", "1", "1", "2"]
    rotated = next(each for each in answers if each.headers["x-intellirouter-attempts"] == "2")
    attempts = secured.record(rotated.headers["x-request-id"])["attempts"]
    assert [(each["kind"], each["status"], each["outcome"]) for each in attempts] == [
        ("first", 401, "upstream_authentication_failed"),
        ("credential", 200, "ok"),
    ]
    states = call(secured, "/api/v1/credentials").json()["credentials"]
    assert [(each["provider"], each["index"], each["state"]) for each in states] == [
        ("lab", 0, "cooling_down"),
        ("lab", 1, "ready"),
    ]
    shown = call(secured, "/api/v1/credentials").text + secured.stderr()
    assert GOOD not in shown
    assert BAD not in shown


def test_credentials_are_shown_to_admins_only(secured: GatewayProcess) -> None:
    assert call(secured, "/api/v1/credentials", "ann").status_code == 403
