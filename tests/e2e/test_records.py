"""What the gateway reports about requests: headers, records, lists, the live feed, metrics, dry runs."""

import json
import re
import sqlite3
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import INPUT_USD, KEYS, OUTPUT_USD
from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.gateway.raw_http import Answer, RawConnection

COMMON = {"x-request-id", "x-intellirouter-strategy", "x-intellirouter-reason", "x-intellirouter-attempts"}
DECIDED = COMMON | {"x-intellirouter-deployment", "x-intellirouter-cache"}


@pytest.fixture
def link(gateway: GatewayProcess) -> Iterator[RawConnection]:
    with RawConnection(gateway.port) as connection:
        yield connection


def post(link: RawConnection, who: str = "ann", path: str = "/v1/chat/completions", **request: Any) -> Answer:
    return link.post(json.dumps(request).encode(), path, authorization=f"Bearer {KEYS[who]}")


def cost_of(usage: dict[str, int]) -> int:
    exact = Decimal(str(INPUT_USD)) * usage["input_tokens"] + Decimal(str(OUTPUT_USD)) * usage["output_tokens"]
    return int(exact.to_integral_value(ROUND_HALF_UP))


@pytest.mark.parametrize("stream", [False, True])
def test_successful_response_has_decision_headers(link: RawConnection, stream: bool) -> None:
    answer = post(link, **chat_request(model="assistant", stream=stream))
    assert set(answer.headers) >= DECIDED
    assert answer.headers["x-intellirouter-deployment"] == "priced"
    assert answer.headers["x-intellirouter-strategy"] == "priority"
    assert answer.headers["x-intellirouter-attempts"] == "1"
    assert answer.headers["x-intellirouter-cache"] == "off"
    assert ("x-intellirouter-cost-usd" in answer.headers) is not stream  # the cost of a stream is known at its end


def test_requests_are_listed_by_the_beginning_of_their_ids(link: RawConnection, gateway: GatewayProcess) -> None:
    request_id = post(link, **chat_request(model="assistant")).headers["x-request-id"]

    def listed(prefix: str) -> list[str]:
        page = gateway.get("/api/v1/requests", id_prefix=prefix).json()
        return [each["request_id"] for each in page.get("requests", ())]  # the database may not be open yet

    until(lambda: request_id in listed("req_"), "a record")
    assert listed(request_id[:30]) == [request_id]
    assert listed("req_ffffff") == []
    refused = gateway.get("/api/v1/requests", id_prefix="%")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "id_prefix")


@pytest.mark.parametrize("stream", [False, True])
def test_error_response_has_a_request_id(
    link: RawConnection, vendor: MockVendor, gateway: GatewayProcess, stream: bool
) -> None:
    vendor.fault("error", match={"model": f"records-broken-{stream}"}, status=500)
    refused = post(link, **chat_request(model="nobody", stream=stream))
    failed = post(link, **chat_request(model=f"mock/records-broken-{stream}", stream=stream))
    assert (refused.status, failed.status) == (404, 502)
    assert refused.headers["x-request-id"].startswith("req_")
    assert set(failed.headers) >= DECIDED
    for answer, code in ((refused, "model_not_found"), (failed, "upstream_unavailable")):
        record = gateway.record(answer.headers["x-request-id"])
        assert (record["status"], record["error_code"]) == (answer.status, code)


CHAT_BODY = json.dumps(chat_request()).encode()


@pytest.mark.parametrize("stream", [False, True])
def test_headers_without_effect_are_reported_and_recorded(
    link: RawConnection, gateway: GatewayProcess, stream: bool
) -> None:
    body = json.dumps(chat_request(stream=stream)).encode()
    key = {"authorization": f"Bearer {KEYS['ann']}"}
    answer = link.post(body, **key, **{"idempotency-key": "a-1", "openai-organization": "org-1"})
    assert answer.headers["x-intellirouter-dropped"] == "idempotency-key;how=dropped, openai-organization;how=dropped"
    record = gateway.record(answer.headers["x-request-id"])
    assert record["dropped"] == ["idempotency-key;how=dropped", "openai-organization;how=dropped"]
    assert "x-intellirouter-dropped" not in link.post(body, **key).headers


def test_ignored_header_of_an_upload_is_reported(gateway: GatewayProcess) -> None:
    answer = httpx.post(
        f"{gateway.base_url}/files",
        headers={"authorization": f"Bearer {KEYS['ann']}", "idempotency-key": "a-1"},
        files={"file": ("a.jsonl", b"{}")},
        data={"purpose": "user_data"},
    )
    assert answer.headers["x-intellirouter-dropped"] == "idempotency-key;how=dropped"


@pytest.mark.parametrize(
    ("path", "code_at"),
    [
        ("/v1/chat/completions", ("error", "code")),
        ("/v1/responses", ("error", "code")),
        ("/v1/messages", ("error", "type")),
        ("/v1beta/models/fake/echo:generateContent", ("error", "code")),
        ("/api/chat", ("error",)),
    ],
)
def test_only_if_cached_is_504_because_nothing_is_cached(
    link: RawConnection, gateway: GatewayProcess, path: str, code_at: tuple[str, ...]
) -> None:
    key = {"authorization": f"Bearer {KEYS['ann']}"}
    answer = link.post(CHAT_BODY, path, **key, **{"cache-control": "max-age=60, Only-If-Cached"})
    assert answer.status == 504
    found: Any = answer.json()
    for step in code_at:
        found = found[step]
    assert found
    assert gateway.record(answer.headers["x-request-id"])["error_code"] == "not_cached"
    assert "attempts" not in gateway.record(answer.headers["x-request-id"])
    wrong = link.post(
        CHAT_BODY, path, authorization="Bearer sk-wrong-0123456789", **{"cache-control": "only-if-cached"}
    )
    assert wrong.status == 401


@pytest.mark.parametrize(
    "directive", ["no-cache", "no-store", "max-age=0", "max-stale=5, min-fresh=1", "x-only-if-cached"]
)
def test_other_cache_directives_are_satisfied_without_a_cache(link: RawConnection, directive: str) -> None:
    key = {"authorization": f"Bearer {KEYS['ann']}"}
    assert link.post(CHAT_BODY, **key, **{"cache-control": directive}).status == 200


def test_unknown_request_header_with_our_prefix_is_refused(link: RawConnection) -> None:
    key = {"authorization": f"Bearer {KEYS['ann']}"}
    answer = link.post(CHAT_BODY, **key, **{"x-intellirouter-region": "eu"})
    assert (answer.status, answer.json()["error"]["code"]) == (400, "unknown_header")
    assert "'x-intellirouter-region'" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "known"),
    [
        (
            "/api/v1/requests",
            "Supported parameters are: `limit`, `before`, `id_prefix`, `model`, `deployment`, `errors`.",
        ),
        ("/api/v1/models", "This path has none."),
        ("/api/v1/requests/tail", "This path has none."),
    ],
)
def test_unknown_query_parameter_of_the_control_api_is_refused(gateway: GatewayProcess, path: str, known: str) -> None:
    answer = gateway.get(path, provider="mock")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "unknown_parameter", "provider")
    assert known in error["message"]
    assert gateway.get("/api/v1/health", provider="mock").status_code == 200
    assert gateway.get("/api/v1/requests", limit=1, errors="true").status_code == 200


MESSAGES = [{"role": "user", "content": "hello"}]
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": MESSAGES}),
        ("/v1/responses", {"input": "hello"}),
        ("/v1/completions", {"prompt": "hello"}),
        ("/v1/messages", {"messages": MESSAGES, "max_tokens": 5}),
        ("/v1beta/models/asistant:", CONTENTS),
        ("/api/chat", {"messages": MESSAGES}),
    ],
)
def test_unknown_model_is_recorded_and_a_similar_one_suggested(
    link: RawConnection, gateway: GatewayProcess, path: str, body: dict[str, Any], stream: bool
) -> None:
    if path.endswith(":"):
        path += "streamGenerateContent" if stream else "generateContent"
    else:
        body = {**body, "model": "asistant", "stream": stream}
    answer = post(link, path=path, **body)
    assert answer.status == 404
    assert "Did you mean `assistant`?" in answer.body.decode()
    record = gateway.record(answer.headers["x-request-id"])
    assert (record["model"], record["error_code"]) == ("asistant", "model_not_found")
    narrow = post(link, "narrow", path, **body)
    assert narrow.status == 404
    assert "Did you mean" not in narrow.body.decode()


@pytest.mark.parametrize("path", ["/v1/models/asistant", "/v1beta/models/asistant"])
def test_page_of_an_unknown_model_suggests_a_similar_one(gateway: GatewayProcess, path: str) -> None:
    answer = gateway.get(path, key=KEYS["ann"])
    assert answer.status_code == 404
    assert "Did you mean `assistant`?" in answer.text


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n",
        b"DELETE /v1/models HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /" + b"x" * 70_000,
    ],
)
def test_every_data_plane_response_has_a_request_id(link: RawConnection, request_bytes: bytes) -> None:
    link.send(request_bytes)
    assert re.fullmatch(r"req_[0-9a-f]{32}", link.answer().headers["x-request-id"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/health", 200),
        ("/api/v1/models", 200),
        ("/api/v1/requests", 200),
        ("/api/v1/requests/req_unknown", 404),
        ("/api/v1/nowhere", 404),
        ("/api/v1/explain", 405),
    ],
)
def test_every_control_plane_response_has_a_request_id(gateway: GatewayProcess, path: str, status: int) -> None:
    answer = gateway.get(path)
    assert answer.status_code == status
    assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize("cursor", ["nonsense", "req_", "zzzz", "", "req_" + "g" * 32, "req_" + "0" * 33, "\x00"])
def test_invalid_cursor_is_rejected(gateway: GatewayProcess, cursor: str) -> None:
    answer = gateway.get("/api/v1/requests", before=cursor)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == ("before", "invalid_value")
    assert "`next`" in error["message"]
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("stream", [False, True])
def test_record_is_exact(link: RawConnection, gateway: GatewayProcess, stream: bool) -> None:
    text = "seventeen words would be too many " * 9
    answer = post(link, **chat_request(text, model="assistant", stream=stream))
    record = gateway.record(answer.headers["x-request-id"])
    assert record["request_id"] == answer.headers["x-request-id"]
    assert (record["tenant"], record["key_name"], record["model"]) == ("north", "ann", "assistant")
    assert (record["deployment"], record["provider"], record["upstream_model"]) == ("priced", "mock", "priced-upstream")
    assert (record["endpoint"], record["status"], record["finish_reason"]) == ("/v1/chat/completions", 200, "stop")
    assert record.get("is_stream", False) is stream
    assert record["decision"]["order"] == ["priced", "plain"]
    assert [(each["deployment"], each["verdict"]) for each in record["decision"]["candidates"]] == [
        ("priced", "chosen"),
        ("plain", "fallback"),
    ]
    assert record["decision"]["reason"] == answer.headers["x-intellirouter-reason"]
    (attempt,) = record["attempts"]
    assert (attempt["outcome"], attempt["status"], attempt["kind"]) == ("ok", 200, "first")
    assert 0 <= attempt["started_ms"] <= attempt["first_byte_ms"] <= attempt["ended_ms"] <= record["duration_ms"]
    assert record["cost_microusd"] == cost_of(record["usage"]) > 50
    assert record["cost_usd"] == f"{Decimal(record['cost_microusd']) / 1_000_000:.6f}"
    assert record["price_version"] == "config"
    if not stream:
        usage = answer.json()["usage"]
        assert usage["prompt_tokens"] == record["usage"]["input_tokens"]
        assert usage["completion_tokens"] == record["usage"]["output_tokens"]
        assert answer.headers["x-intellirouter-cost-usd"] == record["cost_usd"]


def test_unknown_price_is_not_zero(link: RawConnection, gateway: GatewayProcess) -> None:
    answer = post(link, **chat_request(model="plain"))
    record = gateway.record(answer.headers["x-request-id"])
    assert answer.headers["x-intellirouter-cost-usd"] == "unknown"
    assert record["cost_usd"] is None
    assert "cost_microusd" not in record or record["cost_microusd"] is None


def test_embeddings_request_is_recorded(link: RawConnection, gateway: GatewayProcess) -> None:
    answer = post(link, path="/v1/embeddings", model="priced", input="red apple")
    assert set(answer.headers) >= DECIDED
    record = gateway.record(answer.headers["x-request-id"])
    assert record["endpoint"] == "/v1/embeddings"
    assert record["cost_microusd"] == round(record["usage"]["input_tokens"] * INPUT_USD)


@pytest.mark.parametrize("stream", [False, True])
def test_explain_decides_like_a_request_without_calling_an_upstream(
    link: RawConnection, vendor: MockVendor, stream: bool
) -> None:
    text = f"dry as dust {stream}"
    request = chat_request(text, model="assistant", stream=stream)
    explained = post(link, path="/api/v1/explain", **request)
    assert explained.status == 200
    assert not [seen for seen in vendor.requests() if text in seen["body"]]
    done = post(link, **request)
    assert [seen for seen in vendor.requests() if text in seen["body"]]
    said = explained.json()
    assert said["decision"]["reason"] == done.headers["x-intellirouter-reason"]
    assert [step["deployment"] for step in said["plan"]] == ["priced", "plain"]
    assert post(link, path="/api/v1/explain", **chat_request(model="nobody")).status == 404
    assert post(link, path="/api/v1/explain", model="assistant", messages=[]).status == 400


def test_pages_have_no_gaps_and_no_duplicates(link: RawConnection, gateway: GatewayProcess) -> None:
    sent = [post(link, "bob", **chat_request(f"page {n}", model="plain")).headers["x-request-id"] for n in range(25)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while len(seen) < 1000:
        page = gateway.get("/api/v1/requests", key=KEYS["bob"], limit=7, model="plain", **cursor).json()
        seen += [row["request_id"] for row in page["requests"]]
        if page["next"] is None:
            break
        cursor = {"before": page["next"]}
    assert len(seen) == len(set(seen))
    assert set(seen[: len(sent)]) == set(sent)
    arrived_ms = [int(each[4:16], 16) for each in seen]
    assert arrived_ms == sorted(arrived_ms, reverse=True)  # newest first, to the millisecond


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 201}, {"limit": "x"}])
def test_invalid_list_query_is_rejected(gateway: GatewayProcess, query: dict[str, Any]) -> None:
    answer = gateway.get("/api/v1/requests", **query)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_list_can_be_filtered_by_errors(link: RawConnection, gateway: GatewayProcess) -> None:
    post(link, **chat_request(model="nobody"))
    rows = gateway.get("/api/v1/requests", errors=True, limit=50).json()["requests"]
    assert rows
    assert all(row["error_code"] or row["status"] >= 400 for row in rows)


def test_tenant_sees_only_its_own_requests(link: RawConnection, gateway: GatewayProcess) -> None:
    of_ann = post(link, "ann", **chat_request()).headers["x-request-id"]
    of_bob = post(link, "bob", **chat_request()).headers["x-request-id"]
    for mine, other, key in ((of_ann, of_bob, KEYS["ann"]), (of_bob, of_ann, KEYS["bob"])):
        assert gateway.get(f"/api/v1/requests/{mine}", key=key).status_code == 200
        missing = gateway.get(f"/api/v1/requests/{other}", key=key)
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "request_not_found")
        listed = [row["request_id"] for row in gateway.get("/api/v1/requests", key=key).json()["requests"]]
        assert mine in listed
        assert other not in listed
    everything = [row["request_id"] for row in gateway.get("/api/v1/requests", limit=200).json()["requests"]]
    assert {of_ann, of_bob} <= set(everything)


def test_feed_shows_finished_requests_of_the_tenant(link: RawConnection, gateway: GatewayProcess) -> None:
    headers = {"authorization": f"Bearer {KEYS['ann']}"}
    with httpx.stream("GET", f"{gateway.url}/api/v1/requests/tail", headers=headers, timeout=10) as feed:
        lines = feed.iter_lines()
        assert next(lines).startswith(":")
        post(link, "bob", **chat_request("for bob"))
        mine = [post(link, "ann", **chat_request(stream=stream)).headers["x-request-id"] for stream in (False, True)]
        seen = [json.loads(line.removeprefix("data: ")) for _, line in zip(mine, events_of(lines), strict=False)]
    assert [record["request_id"] for record in seen] == mine
    assert all(record["tenant"] == "north" for record in seen)


def events_of(lines: Iterator[str]) -> Iterator[str]:
    return (line for line in lines if line.startswith("data: "))


def metric(gateway: GatewayProcess, name: str, **labels: str) -> float:
    total = 0.0
    for line in gateway.get("/metrics").text.splitlines():
        found = re.fullmatch(rf"{name}\{{(.*)\}} (\S+)", line)
        if found and all(f'{key}="{value}"' in found[1] for key, value in labels.items()):
            total += float(found[2])
    return total


@pytest.mark.parametrize("stream", [False, True])
def test_metrics_count_requests(link: RawConnection, gateway: GatewayProcess, stream: bool) -> None:
    name = f"records-counted-{stream}"
    before = {
        "requests": metric(gateway, "intellirouter_requests_total", model="assistant", status="200"),
        "cost": metric(gateway, "intellirouter_cost_microusd_total", model="assistant", deployment="priced"),
        "tokens": metric(gateway, "intellirouter_tokens_total", model="assistant", direction="output"),
    }
    answers = [post(link, **chat_request(name, model="assistant", stream=stream)) for _ in range(3)]
    records = [gateway.record(answer.headers["x-request-id"]) for answer in answers]
    requests = metric(gateway, "intellirouter_requests_total", model="assistant", status="200")
    assert requests - before["requests"] == 3
    cost = metric(gateway, "intellirouter_cost_microusd_total", model="assistant", deployment="priced")
    assert cost - before["cost"] == sum(record["cost_microusd"] for record in records)
    tokens = metric(gateway, "intellirouter_tokens_total", model="assistant", direction="output")
    assert tokens - before["tokens"] == sum(record["usage"]["output_tokens"] for record in records)


def test_unknown_model_names_create_no_metrics(link: RawConnection, gateway: GatewayProcess) -> None:
    post(link, **chat_request(model="invented-by-a-client"))
    post(link, **chat_request(model="mock/also-invented"))
    text = gateway.get("/metrics").text
    assert "invented-by-a-client" not in text


@pytest.mark.parametrize("bodies", ["off", "full"])
def test_bodies_are_recorded_only_if_configured(tmp_path: Path, bodies: str) -> None:
    config = {"providers": {"fake": {"vendor": "fake"}}, "logging": {"bodies": bodies}}
    with GatewayProcess(config, tmp_path) as gateway, RawConnection(gateway.port) as link:
        for stream in (False, True):
            answer = link.post(json.dumps(chat_request("a secret recipe", stream=stream)).encode())
            record = gateway.record(answer.headers["x-request-id"])
            assert ("request_body" in record) is ("response_body" in record) is (bodies == "full")
            if bodies == "full":
                assert json.loads(record["request_body"]) == chat_request("a secret recipe", stream=stream)
                assert "secret" in record["response_body"]
    if bodies == "off":
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]


def test_ledger_matches_the_records(link: RawConnection, gateway: GatewayProcess) -> None:
    ids = [
        post(link, **chat_request(f"ledger {n}", model="assistant", stream=bool(n % 2))).headers["x-request-id"]
        for n in range(6)
    ]
    records = {each: gateway.record(each) for each in ids}
    connection = sqlite3.connect(f"file:{gateway.database}?mode=ro", uri=True)
    marks = ",".join("?" * len(ids))
    rows = until(
        lambda: connection.execute(
            "SELECT request_id, tenant, input_tokens, output_tokens, cost_microusd, is_estimated FROM ledger_entries"
            f" WHERE request_id IN ({marks})",
            ids,
        ).fetchall(),
        "the ledger has the requests",
    )
    connection.close()
    assert sorted(rows) == sorted(
        (each, "north", record["usage"]["input_tokens"], record["usage"]["output_tokens"], record["cost_microusd"], 0)
        for each, record in records.items()
    )


def test_success_rate_is_successes_over_attempts(tmp_path: Path) -> None:
    config = {
        "defaults": {"retries": 0},
        "providers": {"fake": {"vendor": "fake"}},
        "deployments": {
            "good": {"provider": "fake", "model": "echo"},
            "bad": {"provider": "fake", "model": "error-500"},
            "new": {"provider": "fake", "model": "echo"},
        },
    }
    with GatewayProcess(config, tmp_path) as own:
        for model in ("good", "good", "bad"):
            httpx.post(f"{own.base_url}/chat/completions", json=chat_request(model=model))
        models = {each["name"]: each for each in own.get("/api/v1/models").json()["models"]}
    rates = {
        name: (models[name]["metrics"][name]["success_rate"], models[name]["metrics"][name]["success_rate_attempts"])
        for name in ("good", "bad", "new")
    }
    assert rates == {"good": (1.0, 2), "bad": (0.0, 1), "new": (None, 0)}
