"""What a vendor has created goes back to the deployment and the credential that created it, also after a restart."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess

REASONING = {"include": ["reasoning.encrypted_content"], "reasoning": {"effort": "high"}, "store": False}


@pytest.fixture(scope="module")
def vendors() -> Iterator[tuple[MockVendor, MockVendor]]:
    """Two vendors that do not know what the other one has created."""
    with MockVendor() as one, MockVendor() as two:
        yield one, two


class Pool:
    """A gateway with a pool of two vendors, and two credentials for each."""

    def __init__(self, vendors: tuple[MockVendor, MockVendor], directory: Path) -> None:
        self.vendors = vendors
        self.directory = directory
        self.gateway = GatewayProcess(self.config(), directory)

    def config(self, *removed: str, affinity: str = "off") -> dict[str, Any]:
        providers, deployments = {}, {}
        for number, vendor in enumerate(self.vendors):
            name, keys = f"v{number}", []
            for key in ("a", "b"):
                path = self.directory / f"{name}-{key}"
                path.write_text(f"sk-{name}-{key}-0123456789abcdef")
                if path.name not in removed:
                    keys.append(f"file:{path}")
            providers[name] = {
                "vendor": "openai-compatible",
                "base_url": vendor.base_url,
                "credentials": keys,
                "dialect": "openai_responses",
            }
            deployments[name] = {"provider": name, "model": "reasoning"}
        pool = {"deployments": ["v0", "v1"], "strategy": "round_robin", "retries": 0}
        return {
            "providers": providers,
            "deployments": deployments,
            "models": {"assistant": pool, "other": {"deployments": ["v1"], "retries": 0}},
            "defaults": {"affinity": affinity},
        }

    def ask(self, **body: Any) -> httpx.Response:
        return httpx.post(f"{self.gateway.base_url}/responses", json={"model": "assistant", **body}, timeout=20)

    def credentials(self) -> list[tuple[str, str]]:
        """Return the vendor and the credential of each request to a vendor, in order for each vendor."""
        return [
            (f"v{number}", dict(each["headers"])["authorization"].removeprefix("Bearer "))
            for number, vendor in enumerate(self.vendors)
            for each in vendor.requests()
        ]

    def restart(self, *removed: str) -> None:
        """Stop the gateway, and start it again without some of the credentials."""
        self.gateway.stop()
        self.gateway = GatewayProcess(self.config(*removed), self.directory)
        self.gateway.start()

    def clear(self) -> None:
        for vendor in self.vendors:
            vendor.reset()


@pytest.fixture(scope="module")
def running(vendors: tuple[MockVendor, MockVendor], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    one = Pool(vendors, tmp_path_factory.mktemp("pins"))
    one.gateway.start()
    try:
        yield one
    except BaseException:
        one.gateway.kill()
        raise
    one.gateway.stop()


@pytest.fixture
def pool(running: Pool) -> Pool:
    running.clear()
    return running


def items(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith("application/json"):
        output: list[dict[str, Any]] = answer.json()["output"]
        return output
    last = [line for line in answer.text.splitlines() if line.startswith("data: {")][-1]
    found: list[dict[str, Any]] = json.loads(last[6:])["response"]["output"]
    return found


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


def reference(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "item_reference", "id": item["id"]}


@pytest.mark.parametrize("stream", [False, True])
def test_items_are_referred_to_where_they_were_created(pool: Pool, stream: bool) -> None:
    for number in range(6):
        first = pool.ask(input=f"question {number}", stream=stream)
        home = first.headers["x-intellirouter-deployment"]
        for _ in range(2):
            again = pool.ask(input=[reference(items(first)[-1]), user("and then?")], stream=stream)
            assert again.status_code == 200, again.text
            assert again.headers["x-intellirouter-deployment"] == home
            reason = again.headers["x-intellirouter-reason"]
            assert f"only {home} can read what the request refers to" in reason
    used = pool.credentials()
    for at in range(0, len(used), 3):  # the requests of one conversation follow each other at their vendor
        assert len(set(used[at : at + 3])) == 1, used[at : at + 3]
    assert len(set(used)) == 4  # but the conversations are spread over all credentials


def test_encrypted_reasoning_goes_back_to_its_credential(pool: Pool) -> None:
    for number in range(4):
        history: list[dict[str, Any]] = [user(f"question {number}")]
        for _ in range(3):
            answer = pool.ask(input=history, **REASONING)
            history += [*items(answer), user("and then?")]
        assert any(each.get("encrypted_content") for each in history)
    used = pool.credentials()
    for at in range(0, len(used), 3):
        assert len(set(used[at : at + 3])) == 1
    assert len(set(used)) == 4


def test_stored_response_continues_with_its_credential_if_it_has_reasoning(pool: Pool) -> None:
    for number in range(4):
        body = {**REASONING, "store": True}
        first = pool.ask(input=f"question {number}", **body)
        second = pool.ask(input="and then?", previous_response_id=first.json()["id"], **body)
        assert second.status_code == 200, second.text
        assert second.headers["x-intellirouter-deployment"] == first.headers["x-intellirouter-deployment"]
    used = pool.credentials()
    for at in range(0, len(used), 2):
        assert used[at] == used[at + 1]


def test_pins_survive_a_restart(pool: Pool) -> None:
    first = [pool.ask(input=f"question {number}") for number in range(4)]
    pool.restart()
    for answer in reversed(first):
        again = pool.ask(input=[reference(items(answer)[-1]), user("and then?")])
        assert again.status_code == 200, again.text
        assert again.headers["x-intellirouter-deployment"] == answer.headers["x-intellirouter-deployment"]


def test_failed_credential_is_not_replaced_by_another_one(pool: Pool) -> None:
    first = pool.ask(input="question")
    number = int(first.headers["x-intellirouter-deployment"][1])
    pool.vendors[number].fault("error", status=401, times=1)
    refused = pool.ask(input=[reference(items(first)[-1]), user("and then?")])
    assert refused.status_code == 502
    assert len(set(pool.credentials())) == 1


def test_another_model_gets_the_conversation_without_restriction(pool: Pool) -> None:
    for number in range(4):
        first = pool.ask(input=f"question {number}", **REASONING)
        other = pool.ask(input=[user("x"), *items(first), user("and then?")], model="other", **REASONING)
        assert other.status_code == 200, other.text


def test_reference_that_worked_once_is_remembered(pool: Pool) -> None:
    """The gateway has not seen who created a conversation, but it has seen who knows it."""
    served = {pool.ask(input="x", conversation="conv_1").headers["x-intellirouter-deployment"] for _ in range(6)}
    assert len(served) == 1
    assert len(set(pool.credentials())) == 1


def test_unknown_reference_is_an_error_of_the_vendor(pool: Pool) -> None:
    refused = pool.ask(input=[{"type": "item_reference", "id": "msg_unknown"}])
    assert refused.status_code == 404
    assert "not found" in refused.json()["error"]["message"]


def test_without_the_credential_there_is_a_clear_error_and_no_other_is_tried(pool: Pool) -> None:
    first = pool.ask(input="question")
    home = first.headers["x-intellirouter-deployment"]
    [(_, secret)] = pool.credentials()
    pool.restart(f"{home}-{secret.split('-')[2]}")
    before = len(pool.credentials())
    refused = pool.ask(input=[reference(items(first)[-1]), user("and then?")])
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (400, "creator_not_available")
    assert f"was created with a credential of the provider '{home}'" in error["message"]
    assert "Configure that credential again" in error["message"]
    assert len(pool.credentials()) == before
    assert secret not in refused.text
