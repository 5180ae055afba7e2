"""Files and batches with a real gateway and the official `openai` client."""

import json
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types import Batch

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import INPUT_USD, KEYS, OUTPUT_USD, base_config
from tests.support.gateway.process import GatewayProcess, until

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


def until_answered(client: OpenAI, batch_id: str, least: int) -> None:
    until(lambda: counts(client.batches.retrieve(batch_id))[1] >= least, f"{least} lines are answered", 30)


def end_well(gateway: GatewayProcess) -> None:
    """Stop a gateway that will be started again."""
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0


def counts(batch: Batch) -> tuple[int, int, int]:
    assert batch.request_counts is not None
    return batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed


def rows(client: OpenAI, file_id: str | None) -> dict[str, Any]:
    """Return the lines of a result file by custom id. Asserts that each occurs once."""
    if file_id is None:
        return {}
    found = [json.loads(each) for each in client.files.content(file_id).text.splitlines()]
    by_id = {each["custom_id"]: each for each in found}
    assert len(by_id) == len(found)
    assert len({each["id"] for each in found}) == len(found)
    assert all(each["id"].startswith("batch_req_") for each in found)
    return by_id


def test_batch_from_upload_to_results(gateway: GatewayProcess, ann: OpenAI, vendor: MockVendor) -> None:
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


def test_failed_lines_do_not_affect_others(gateway: GatewayProcess, ann: OpenAI, vendor: MockVendor) -> None:
    vendor.fault("error", status=400, message="too strange", match={"model": "strange"})
    asked = [
        line("good"),
        line("unknown", "asistant"),
        line("strange", "mock/strange"),
        line("malformed", messages="none"),
        line("streamed", stream=True),
        {"custom_id": "bodiless", "method": "POST", "url": CHAT, "body": {}},
    ]
    batch = ended(ann, submit(ann, asked).id)
    assert batch.status == "completed"
    assert counts(batch) == (6, 1, 5)
    assert batch.model is None
    assert list(rows(ann, batch.output_file_id)) == ["good"]
    failed = rows(ann, batch.error_file_id)
    assert {custom_id: row["response"]["status_code"] for custom_id, row in failed.items()} == {
        "unknown": 404, "strange": 400, "malformed": 400, "streamed": 400, "bodiless": 400,
    }  # fmt: skip
    errors = {custom_id: row["response"]["body"]["error"] for custom_id, row in failed.items()}
    assert errors["unknown"]["code"] == "model_not_found"
    assert "Did you mean `assistant`?" in errors["unknown"]["message"]
    assert gateway.record(failed["unknown"]["response"]["request_id"])["model"] == "asistant"
    assert errors["strange"]["message"] == "too strange"
    assert errors["malformed"]["param"] == "messages"
    assert errors["streamed"]["param"] == "stream"
    for row in failed.values():
        assert row["error"] is None
        record = gateway.record(row["response"]["request_id"])
        assert record["status"] == row["response"]["status_code"]
        assert record["tenant"] == "north"


@pytest.mark.parametrize(
    ("endpoint", "body", "read"),
    [
        ("/v1/responses", {"input": "say"}, lambda body: body["output"][0]["content"][0]["text"].endswith(": say")),
        ("/v1/embeddings", {"input": ["a", "b"]}, lambda body: len(body["data"]) == 2),
        ("/v1/completions", {"prompt": "say"}, lambda body: body["object"] == "text_completion"),
        ("/v1/moderations", {"input": "say"}, lambda body: "flagged" in body["results"][0]),
    ],
)  # fmt: skip
def test_batch_of_every_supported_endpoint(
    gateway: GatewayProcess, ann: OpenAI, endpoint: str, body: dict[str, Any], read: Callable[[Any], bool]
) -> None:
    asked = [line(f"{number}", "plain", url=endpoint, **body) for number in range(3)]
    batch = ended(ann, submit(ann, asked, endpoint).id)
    assert counts(batch) == (3, 3, 0), batch
    found = rows(ann, batch.output_file_id)
    assert all(read(row["response"]["body"]) for row in found.values())
    assert {gateway.record(row["response"]["request_id"])["endpoint"] for row in found.values()} == {endpoint}


def test_responses_of_a_batch_are_stored(ann: OpenAI) -> None:
    batch = ended(ann, submit(ann, [line("r", "plain", url="/v1/responses", input="first")], "/v1/responses").id)
    first = rows(ann, batch.output_file_id)["r"]["response"]["body"]["id"]
    assert ann.responses.retrieve(first).output_text == "plain-upstream: first"
    following = line("r", "plain", url="/v1/responses", input="second", previous_response_id=first)
    batch = ended(ann, submit(ann, [following], "/v1/responses").id)
    assert rows(ann, batch.output_file_id)["r"]["response"]["body"]["previous_response_id"] == first


BAD_INPUTS = [
    ([], "empty_file", None),
    (["", "   "], "empty_file", None),
    ([line("a"), "{not json"], "invalid_json_line", 2),
    ([line("a"), "", "[1]"], "invalid_request", 3),
    ([{**line("a"), "body": "text"}], "invalid_request", 1),
    ([line("a"), line("b"), line("a")], "duplicate_custom_id", 3),
    ([{"method": "POST", "url": CHAT, "body": {}}], "missing_required_parameter", 1),
    ([{"custom_id": "a", "method": "POST", "url": CHAT}], "missing_required_parameter", 1),
    ([{**line("a"), "custom_id": 7}], "invalid_type", 1),
    ([{**line("a"), "method": "GET"}], "invalid_method", 1),
    ([line("a", url="/v1/embeddings")], "invalid_url", 1),
]


@pytest.mark.parametrize(("lines", "code", "number"), BAD_INPUTS, ids=[f"{bad[1]}-{bad[2]}" for bad in BAD_INPUTS])
def test_invalid_input_fails_the_whole_batch(
    ann: OpenAI, vendor: MockVendor, lines: list[Any], code: str, number: int | None
) -> None:
    batch = ended(ann, submit(ann, lines).id)
    assert batch.status == "failed"
    assert batch.failed_at is not None
    assert batch.output_file_id is batch.error_file_id is None
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert [(error.code, error.line) for error in batch.errors.data] == [(code, number)]
    assert batch.errors.data[0].message


def test_too_many_lines_fail_the_batch(vendor: MockVendor, tmp_path: Path, connect: Connect) -> None:
    with GatewayProcess(batch_config(vendor, max_lines=3, max_file_bytes=1024), tmp_path) as gateway:
        client = connect(gateway)
        batch = ended(client, submit(client, [line(str(number)) for number in range(4)]).id)
        assert batch.errors is not None
        assert batch.errors.data is not None
        assert [error.code for error in batch.errors.data] == ["too_many_tasks"]
        with pytest.raises(openai.APIStatusError, match="max_file_bytes") as caught:
            submit(client, ["x" * 1100])
        assert caught.value.status_code == 413


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input_file_id": None}, "input_file_id"),
        ({"input_file_id": "file-unknown"}, "input_file_id"),
        ({"endpoint": "/v1/audio/speech"}, "endpoint"),
        ({"endpoint": None}, "endpoint"),
        ({"completion_window": "48h"}, "completion_window"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 60}}, "output_expires_after[seconds]"),
        ({"output_expires_after": {"anchor": "now", "seconds": 3600}}, "output_expires_after.anchor"),
    ],
)
def test_invalid_batch_request_is_rejected(ann: OpenAI, change: dict[str, Any], param: str) -> None:
    file = ann.files.create(file=text_of([line("a")]), purpose="batch")
    asked = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h", **change}
    with pytest.raises(openai.BadRequestError) as caught:
        ann.post("/batches", body={name: value for name, value in asked.items() if value is not None}, cast_to=Batch)
    assert caught.value.param == param


def test_input_file_must_have_the_purpose_batch(ann: OpenAI) -> None:
    file = ann.files.create(file=text_of([line("a")]), purpose="user_data")
    with pytest.raises(openai.BadRequestError, match="purpose 'batch'"):
        ann.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")


def test_web_page_of_another_origin_cannot_upload_or_create(gateway: GatewayProcess) -> None:
    foreign = {"origin": "https://elsewhere.example", "content-type": "text/plain"}
    answer = httpx.post(f"{gateway.base_url}/batches?key={KEYS['ann']}", headers=foreign, content=b"{}")
    assert answer.status_code == 415
    form = {"origin": "https://elsewhere.example"}
    url = f"{gateway.base_url}/files?key={KEYS['ann']}"
    answer = httpx.post(url, headers=form, data={"purpose": "batch"}, files={"file": b"x"})
    assert answer.status_code == 403


# -- files ---------------------------------------------------------------------------------------------------------


def test_downloaded_file_equals_the_upload(gateway: GatewayProcess, connect: Connect) -> None:
    client = connect(gateway, "bob")
    content = bytes(range(256)) * 4096 * 3 + b"\r\n--not-a-boundary\r\n\r\nend"  # several parts
    name = "my résumé.pdf"
    created = client.files.create(file=(name, content), purpose="user_data")
    assert created.id.startswith("file-")
    assert (created.bytes, created.filename, created.purpose) == (len(content), name, "user_data")
    assert (created.object, created.status) == ("file", "processed")
    assert created.expires_at == created.created_at + 30 * 86_400
    assert client.files.retrieve(created.id) == created
    downloaded = client.files.content(created.id)
    assert downloaded.content == content
    assert downloaded.response.headers["content-type"] == "application/octet-stream"
    disposition = downloaded.response.headers["content-disposition"]
    assert disposition == "attachment; filename=\"my r_sum_.pdf\"; filename*=UTF-8''my%20r%C3%A9sum%C3%A9.pdf"
    assert client.files.delete(created.id).deleted
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError, match="No such File object"):
            call(created.id)


def test_files_are_listed_in_pages(gateway: GatewayProcess, connect: Connect) -> None:
    client = connect(gateway, "narrow")
    batch_file = client.files.create(
        file=b"1", purpose="batch", expires_after={"anchor": "created_at", "seconds": 7200}
    )
    others = [client.files.create(file=b"", purpose="assistants") for _ in range(4)]
    assert batch_file.expires_at == batch_file.created_at + 7200
    ids = [batch_file.id, *(file.id for file in others)]
    assert [file.id for file in client.files.list()] == ids[::-1]
    assert [file.id for file in client.files.list(order="asc", limit=2)] == ids  # the client requests all pages
    page = client.files.list(purpose="assistants", limit=3)
    assert [file.id for file in page.data] == ids[:1:-1]
    assert page.has_more
    rest = client.files.list(purpose="assistants", limit=3, after=page.data[-1].id)
    assert [file.id for file in rest.data] == ids[1:2]
    assert not rest.has_more
    with pytest.raises(openai.BadRequestError, match="limit"):
        client.files.list(limit=0)


@pytest.mark.parametrize(
    ("data", "files", "param"),
    [
        ({}, {"file": b"x"}, "purpose"),
        ({"purpose": "world domination"}, {"file": b"x"}, "purpose"),
        ({"purpose": "batch_output"}, {"file": b"x"}, "purpose"),
        ({"purpose": "batch"}, {"other": b"x"}, "file"),
        ({"purpose": "batch", "expires_after[anchor]": "x"}, {"file": b"x"}, "expires_after[anchor]"),
        (
            {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "5"},
            {"file": b"x"},
            "expires_after[seconds]",
        ),
    ],
)
def test_invalid_upload_is_rejected(gateway: GatewayProcess, data: Any, files: Any, param: str) -> None:
    headers = {"authorization": f"Bearer {KEYS['ann']}"}
    answer = httpx.post(f"{gateway.base_url}/files", headers=headers, data=data, files=files)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert httpx.post(f"{gateway.base_url}/files", headers=headers, content=b"x").status_code == 400


def test_files_and_batches_of_other_tenants_are_not_visible(
    gateway: GatewayProcess, ann: OpenAI, connect: Connect
) -> None:
    batch = ended(ann, submit(ann, [line("secret")]).id)
    for who in ("bob", "admin"):
        other = connect(gateway, who)
        for file_id in (batch.input_file_id, batch.output_file_id or ""):
            for call in (other.files.retrieve, other.files.content, other.files.delete):
                with pytest.raises(openai.NotFoundError):
                    call(file_id)
            assert file_id not in [file.id for file in other.files.list()]
        for of_batch in (other.batches.retrieve, other.batches.cancel):
            with pytest.raises(openai.NotFoundError):
                of_batch(batch.id)
        assert batch.id not in [each.id for each in other.batches.list()]
        with pytest.raises(openai.BadRequestError, match="No such File"):
            other.batches.create(input_file_id=batch.input_file_id, endpoint=CHAT, completion_window="24h")
    assert ann.files.retrieve(batch.output_file_id or "").id == batch.output_file_id


def test_input_file_can_be_deleted_while_the_batch_is_running(ann: OpenAI, vendor: MockVendor) -> None:
    vendor.fault("slow", delay_s=0.1, match={"model": "deleted-input"})
    batch = submit(ann, [line(f"{number}", "mock/deleted-input") for number in range(6)])
    until(lambda: ann.batches.retrieve(batch.id).status == "in_progress", "the batch is running")
    ann.files.delete(batch.input_file_id)
    assert counts(ended(ann, batch.id)) == (6, 6, 0)


def test_output_expires_as_requested(ann: OpenAI) -> None:
    expiry: Any = {"anchor": "created_at", "seconds": 3600}
    batch = ended(ann, submit(ann, [line("a")], output_expires_after=expiry).id)
    file = ann.files.retrieve(batch.output_file_id or "")
    assert file.expires_at == file.created_at + 3600


# -- running, stopping, continuing ---------------------------------------------------------------------------------


def test_concurrency_limit_applies_to_all_batches(ann: OpenAI, vendor: MockVendor) -> None:
    vendor.fault("slow", delay_s=0.15, match={"model": "crowded"})
    batches = [submit(ann, [line(f"{number}", "mock/crowded") for number in range(9)]) for _ in range(2)]
    most = 0
    for batch in batches:

        def look(batch_id: str = batch.id) -> bool:
            nonlocal most
            open_now = [each for each in vendor.requests() if each["model"] == "crowded" and not each["is_finished"]]
            most = max(most, len(open_now))
            return ann.batches.retrieve(batch_id).status in ENDED

        until(look, "the batches end", 30)
    assert all(counts(ann.batches.retrieve(batch.id)) == (9, 9, 0) for batch in batches)
    assert 2 <= most <= CONCURRENCY


def test_lines_are_retried_after_a_rate_limit(ann: OpenAI, vendor: MockVendor) -> None:
    vendor.fault("rate_limit", retry_after_s=0.2, times=8, match={"model": "limited"})
    batch = ended(ann, submit(ann, [line(f"{number}", "mock/limited") for number in range(3)]).id)
    assert counts(batch) == (3, 3, 0)
    vendor.fault("rate_limit", retry_after_s=0, code="insufficient_quota", match={"model": "broke"})
    batch = ended(ann, submit(ann, [line("a", "mock/broke")]).id)
    assert counts(batch) == (1, 0, 1)
    assert rows(ann, batch.error_file_id)["a"]["response"]["status_code"] == 429
    asked = [each for each in vendor.requests() if each["model"] == "broke"]
    assert len(asked) == 1  # a retry does not help without quota


def test_canceled_batch_keeps_its_results(ann: OpenAI, vendor: MockVendor) -> None:
    vendor.fault("slow", delay_s=0.2, match={"model": "cancelled"})
    created = submit(ann, [line(f"{number}", "mock/cancelled") for number in range(40)])

    until_answered(ann, created.id, 2)
    cancelling = ann.batches.cancel(created.id)
    assert cancelling.status == "cancelling"
    assert cancelling.cancelling_at is not None
    batch = ended(ann, created.id)
    assert batch.status == "cancelled"
    assert batch.cancelled_at is not None
    done, undone = rows(ann, batch.output_file_id), rows(ann, batch.error_file_id)
    assert 2 <= len(done) < 40
    assert len(done) + len(undone) == 40
    assert counts(batch) == (40, len(done), len(undone))
    assert all(row["response"] is None and row["error"]["code"] == "batch_cancelled" for row in undone.values())
    assert len([each for each in vendor.requests() if each["model"] == "cancelled"]) == len(done)
    with pytest.raises(openai.ConflictError, match="cancelled"):
        ann.batches.cancel(created.id)


@pytest.mark.parametrize("way", ["kill", "stop"])
def test_batch_continues_after_a_restart(vendor: MockVendor, tmp_path: Path, connect: Connect, way: str) -> None:
    model = f"resumed-{way}"
    vendor.fault("slow", delay_s=0.05, match={"model": model})
    gateway = GatewayProcess(batch_config(vendor), tmp_path, admin_key=KEYS["admin"])
    gateway.start()
    asked = [line(f"question {number}", f"mock/{model}") for number in range(60)]
    batch_id = submit(connect(gateway), asked).id
    for least in (5, 25):
        until_answered(connect(gateway), batch_id, least)
        if way == "kill":
            gateway.kill()
        else:
            end_well(gateway)
        gateway.start()
    batch = ended(connect(gateway), batch_id, 30)
    assert (batch.status, counts(batch)) == ("completed", (60, 60, 0))
    found = rows(connect(gateway), batch.output_file_id)
    assert list(found) == [each["custom_id"] for each in asked]
    for custom_id, row in found.items():
        assert row["response"]["body"]["choices"][0]["message"]["content"] == f"{model}: {custom_id}"
    gateway.stop()
    sent = len([each for each in vendor.requests() if each["model"] == model])
    # Only lines that were in progress when the process was killed run again; a normal stop waits for them.
    assert 60 <= sent <= 60 + (2 * CONCURRENCY if way == "kill" else 0)
    with sqlite3.connect(gateway.database) as database:
        (left,) = database.execute("SELECT count(*) FROM objects WHERE kind LIKE 'batch\\_%' ESCAPE '\\'").fetchone()
    assert left == 0  # the data that only a running batch needs has been deleted


def test_lines_fail_when_the_key_is_removed(vendor: MockVendor, tmp_path: Path, connect: Connect) -> None:
    vendor.fault("slow", delay_s=0.1, match={"model": "revoked"})
    config = batch_config(vendor)
    gateway = GatewayProcess(config, tmp_path)
    gateway.start()
    batch_id = submit(connect(gateway), [line(f"{number}", "mock/revoked") for number in range(20)]).id
    until_answered(connect(gateway), batch_id, 2)
    end_well(gateway)
    heir = {**config["keys"][1], "name": "heir"}  # the same tenant, but another name
    gateway.configure({**config, "keys": [config["keys"][0], heir, *config["keys"][2:]]})
    with gateway:
        batch = ended(connect(gateway), batch_id)
        assert batch.status == "completed"
        refused = rows(connect(gateway), batch.error_file_id)
        assert refused
        assert {row["response"]["status_code"] for row in refused.values()} == {401}
        assert counts(batch)[1] + len(refused) == 20
