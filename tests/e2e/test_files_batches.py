"""Files and batches over a real gateway, with the official `openai` client as the judge."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gateway_process import GatewayProcess, until
from openai import OpenAI
from openai.types import Batch
from shared_fixtures import INPUT_USD, KEYS, OUTPUT_USD, base_config

from intellirouter.testing import MockVendor

CHAT = "/v1/chat/completions"
ENDED = {"completed", "failed", "expired", "cancelled"}
CONCURRENCY = 3
Connect = Callable[..., OpenAI]


def batch_config(vendor: MockVendor, **batches: Any) -> dict[str, Any]:
    config = base_config(vendor)
    del config["server"]
    return {**config, "batches": {"concurrency": CONCURRENCY, **batches}}


@pytest.fixture(scope="module")
def gateway(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    directory = tmp_path_factory.mktemp("batches")
    with GatewayProcess(batch_config(vendor), directory, admin_key=KEYS["admin"]) as running:
        yield running


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as exits:

        def opened(gateway: GatewayProcess, who: str = "ann") -> OpenAI:
            client = OpenAI(base_url=gateway.base_url, api_key=KEYS[who], max_retries=0, timeout=20)
            return exits.enter_context(client)

        yield opened


@pytest.fixture
def ann(gateway: GatewayProcess, connect: Connect) -> OpenAI:
    return connect(gateway)


def line(custom_id: str, model: str = "priced", *, url: str = CHAT, **body: Any) -> dict[str, Any]:
    asked = {"model": model, "messages": [{"role": "user", "content": custom_id}]} if url == CHAT else {"model": model}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": {**asked, **body}}


def text_of(lines: list[Any]) -> bytes:
    return "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines).encode()


def submit(client: OpenAI, lines: list[Any], endpoint: Any = CHAT, **members: Any) -> Batch:
    file = client.files.create(file=("input.jsonl", text_of(lines)), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **members)


def ended(client: OpenAI, batch_id: str, timeout_s: float = 20.0) -> Batch:
    def look() -> Batch | None:
        found = client.batches.retrieve(batch_id)
        return found if found.status in ENDED else None

    batch = until(look, f"{batch_id} ends", timeout_s)
    assert batch is not None
    return batch


def counts(batch: Batch) -> tuple[int, int, int]:
    assert batch.request_counts is not None
    return batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed


def rows(client: OpenAI, file_id: str | None) -> dict[str, Any]:
    """Return a result file's lines by their custom ids; each must be there once."""
    if file_id is None:
        return {}
    found = [json.loads(each) for each in client.files.content(file_id).text.splitlines()]
    by_id = {each["custom_id"]: each for each in found}
    assert len(by_id) == len(found)
    assert len({each["id"] for each in found}) == len(found)
    assert all(each["id"].startswith("batch_req_") for each in found)
    return by_id


def test_a_batch_from_upload_to_results(gateway: GatewayProcess, ann: OpenAI, vendor: MockVendor) -> None:
    asked = [line(f"question {number}") for number in range(12)]
    created = submit(ann, asked, metadata={"for": "tests"})
    assert (created.object, created.endpoint, created.completion_window) == ("batch", CHAT, "24h")
    assert created.status == "validating"
    assert created.expires_at == created.created_at + 86_400
    batch = ended(ann, created.id)
    assert batch.status == "completed"
    assert counts(batch) == (12, 12, 0)
    assert batch.metadata == {"for": "tests"}
    assert batch.model == "priced"
    assert batch.error_file_id is None
    times = [batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at]
    assert times == sorted(times)  # type: ignore[type-var]
    assert batch.failed_at is batch.expired_at is batch.cancelling_at is batch.cancelled_at is None
    found = rows(ann, batch.output_file_id)
    assert list(found) == [each["custom_id"] for each in asked]  # in the order of the input
    spent = 0
    for custom_id, row in found.items():
        assert row["error"] is None
        assert row["response"]["status_code"] == 200
        body = row["response"]["body"]
        assert body["choices"][0]["message"]["content"] == f"priced-upstream: {custom_id}"
        record = gateway.record(row["response"]["request_id"])
        assert (record["endpoint"], record["tenant"], record["key_name"]) == (CHAT, "north", "ann")
        usage = body["usage"]
        priced = usage["prompt_tokens"] * INPUT_USD + usage["completion_tokens"] * OUTPUT_USD
        assert record["cost_microusd"] == pytest.approx(priced, abs=0.5)
        spent += usage["total_tokens"]
    assert batch.usage is not None
    assert batch.usage.total_tokens == spent
    output = ann.files.retrieve(batch.output_file_id or "")
    assert output.purpose == "batch_output"
    assert output.bytes == len(ann.files.content(output.id).content)
    assert batch.id in [each.id for each in ann.batches.list(limit=5)]
