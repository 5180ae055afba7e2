"""A second gateway in the same directory: it says so, and leaves the work of the first one alone."""

import json
import time
from pathlib import Path
from typing import Any

import httpx

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS, base_config
from tests.support.gateway.process import GatewayProcess, until

LINES = 60
UNFINISHED = {"queued", "in_progress"}


def config(vendor: MockVendor, directory: Path) -> dict[str, Any]:
    made = base_config(vendor)
    del made["server"]
    store = {"url": f"sqlite:///{directory}/store.db", "spool_dir": str(directory / "spool")}
    return {**made, "store": store, "batches": {"concurrency": 1}}


def begin_work(client: httpx.Client) -> tuple[str, str]:
    """Start a batch and a background response that take a few seconds, and return their IDs."""
    messages = [{"role": "user", "content": "hello"}]
    lines = [
        {
            "custom_id": f"line-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "mock/slow-line", "messages": messages},
        }
        for number in range(LINES)
    ]
    content = "\n".join(map(json.dumps, lines))
    file = client.post("/v1/files", files={"file": ("in.jsonl", content)}, data={"purpose": "batch"}).json()
    asked = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = client.post("/v1/batches", json=asked).json()
    background = {"model": "mock/slow-response", "input": "hello", "background": True}
    return batch["id"], client.post("/v1/responses", json=background).json()["id"]


def test_second_gateway_leaves_the_work_of_the_first_one_alone(vendor: MockVendor, tmp_path: Path) -> None:
    vendor.fault("slow", delay_s=0.5, match={"model": "slow-line"})
    vendor.fault("slow", delay_s=6, match={"model": "slow-response"})
    (other := tmp_path / "other").mkdir()
    with GatewayProcess(config(vendor, tmp_path), tmp_path, admin_key=KEYS["admin"]) as first:
        headers = {"authorization": f"Bearer {KEYS['ann']}"}
        with httpx.Client(base_url=first.url, headers=headers, timeout=20) as client:
            # Ages are compared by the second, and these objects must be older than the second gateway.
            batch_id, response_id = begin_work(client)
            time.sleep(1.1)
            with GatewayProcess(config(vendor, tmp_path), other, admin_key=KEYS["admin"]) as second:
                until(lambda: "Each unfinished batch is left to the other gateway" in second.stderr(), "a warning")
                vendor.clear()  # the rest of the batch is fast
                assert "Another gateway uses the spool directory" in second.stderr()
                warnings = second.get("/api/v1/health").json()["warnings"]
                assert any(each.startswith("store.spool_dir: Another gateway uses") for each in warnings)
                ended = until(
                    lambda: found if (found := client.get(f"/v1/batches/{batch_id}").json())["completed_at"] else None,
                    "the batch is complete",
                    30,
                )
                response = until(
                    lambda: (
                        found
                        if (found := client.get(f"/v1/responses/{response_id}").json())["status"] not in UNFINISHED
                        else None
                    ),
                    "the response is complete",
                    30,
                )
    assert ended is not None
    assert ended["request_counts"] == {"total": LINES, "completed": LINES, "failed": 0}
    assert response is not None
    assert response["status"] == "completed"
    assert len([each for each in vendor.requests() if each["model"] == "slow-line"]) == LINES
