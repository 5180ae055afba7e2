"""Endpoints other than chat: stored responses, token counts, embeddings, models, images, audio, reranking."""

import base64
import json
import struct
from typing import Any

import httpx
import pytest

from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import until
from tests.support.translation.world import BOTH, UPSTREAMS, World, unique

# --- stored responses


def respond(world: World, model: str, text: str, **members: Any) -> dict[str, Any]:
    answer = world.call("/v1/responses", {"model": model, "input": text, **members})
    assert answer.status_code == 200, answer.text
    if not members.get("stream"):
        document: dict[str, Any] = answer.json()
        return document
    last = answer.text.rstrip().rpartition("data: ")[2]
    whole: dict[str, Any] = json.loads(last)["response"]
    return whole


def text_of(response: dict[str, Any]) -> str:
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts)


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_conversation_continues_with_another_upstream(world: World, upstream: str, stream: bool) -> None:
    """The gateway stores the history, so a conversation can continue with any upstream."""
    first_mark, second_mark = unique("one"), unique("two")
    first = respond(world, upstream, first_mark, stream=stream, instructions="Be brief.")
    other = "anthropic" if upstream != "anthropic" else "gemini"
    for model in (upstream, other):
        second = respond(world, model, second_mark, stream=stream, previous_response_id=first["id"])
        assert second["previous_response_id"] == first["id"]
        assert second_mark in text_of(second)
        sent = world.sent(second_mark)[-1]["body"]
        assert first_mark in sent
        assert text_of(first) in sent.replace("\\u", "u")
        assert "Be brief." not in sent  # instructions are not part of the history
    third = respond(world, other, "three", stream=stream, previous_response_id=second["id"])
    assert third["id"] != second["id"]
    assert all(mark in world.sent("three")[-1]["body"] for mark in (first_mark, second_mark))


@pytest.mark.parametrize("stream", BOTH)
def test_response_is_stored_retrieved_and_deleted(world: World, stream: bool) -> None:
    mark = unique()
    made = respond(world, "gemini", mark, stream=stream, metadata={"a": "b"})
    path = f"/v1/responses/{made['id']}"
    assert world.get(path).json() == made
    items = world.get(f"{path}/input_items").json()
    assert [mark in json.dumps(item) for item in items["data"]] == [True]
    assert (items["object"], items["has_more"]) == ("list", False)
    for key in ("bob",):  # another tenant's
        assert world.get(path, key=key).status_code == 404
        assert world.get(path, key=key, method="DELETE").status_code == 404
    assert world.get(path, method="DELETE").json() == {"id": made["id"], "object": "response", "deleted": True}
    assert world.get(path).status_code == 404
    lost = world.call("/v1/responses", {"model": "gemini", "input": "x", "previous_response_id": made["id"]})
    assert (lost.status_code, lost.json()["error"]["code"]) == (400, "previous_response_not_found")


def test_response_with_store_false_is_not_stored(world: World) -> None:
    made = respond(world, "anthropic", "secret", store=False)
    assert world.get(f"/v1/responses/{made['id']}").status_code == 404


@pytest.mark.parametrize("upstream", ["openai", "anthropic", "ollama"])
def test_background_response_can_be_retrieved_when_it_is_complete(world: World, upstream: str) -> None:
    mark = unique()
    begun = respond(world, upstream, mark, background=True)
    assert begun["status"] in {"queued", "in_progress"}
    path = f"/v1/responses/{begun['id']}"

    def finished() -> Any:
        found = world.get(path).json()
        return found if found["status"] not in {"queued", "in_progress"} else None

    done = until(finished, "the response is complete")
    assert (done["status"], done["id"], done["background"]) == ("completed", begun["id"], True)
    assert mark in text_of(done)
    following = respond(world, "gemini", "and?", previous_response_id=begun["id"])
    assert mark in world.sent("and?")[-1]["body"]
    assert following["status"] == "completed"


def test_background_response_can_be_canceled(world: World) -> None:
    world.vendor.fault("hang")
    mark = unique()
    begun = respond(world, "anthropic", mark, background=True)
    until(lambda: world.sent(mark), "the upstream has the request")
    cancelled = world.call(f"/v1/responses/{begun['id']}/cancel", {})
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    until(lambda: world.sent(mark)[0]["is_aborted"], "the upstream request is aborted")
    assert world.get(f"/v1/responses/{begun['id']}").json()["status"] == "cancelled"
    world.vendor.clear()
    refused = world.call(f"/v1/responses/{respond(world, 'gemini', 'x')['id']}/cancel", {})
    assert refused.status_code == 400


def test_deleted_background_response_stays_deleted(world: World) -> None:
    world.vendor.fault("hang")
    mark = unique()
    answer = world.call("/v1/responses", {"model": "anthropic", "input": mark, "background": True})
    path = f"/v1/responses/{answer.json()['id']}"
    until(lambda: world.sent(mark), "the upstream has the request")
    assert world.get(path, method="DELETE").json()["deleted"] is True
    assert world.get(path).status_code == 404
    record = world.record(answer)
    assert (record["status"], record["error_code"]) == (499, "client_disconnected")
    assert [each["outcome"] for each in record["attempts"]] == ["client_disconnected"]
    assert world.get(path).status_code == 404


def post_bytes(world: World, path: str, body: str, key: str = "ann") -> httpx.Response:
    headers = {"authorization": f"Bearer {KEYS[key]}", "content-type": "application/json"}
    return world.http.post(path, content=body.encode(), headers=headers)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/input_tokens"])
@pytest.mark.parametrize("name", ["previous_response_id", r"previous\u005fresponse_id", r"\u0070revious_response_id"])
def test_previous_response_of_another_tenant_is_not_found_in_any_spelling(world: World, name: str, path: str) -> None:
    secret, mark = unique("secret"), unique()
    stored = respond(world, "responses", secret)
    body = f'{{"model": "responses", "input": "{mark}", "{name}": "{stored["id"]}"}}'
    refused = post_bytes(world, path, body, key="bob")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "previous_response_not_found")
    assert world.sent(mark) == []
    assert post_bytes(world, path, body).status_code == 200
    assert all(secret in each["body"] and stored["id"] not in each["body"] for each in world.sent(mark))


def test_background_is_recognized_in_any_spelling(world: World) -> None:
    answer = post_bytes(world, "/v1/responses", r'{"model": "gemini", "input": "x", "backgr\u006fund": true}')
    assert answer.json()["status"] == "queued"


def test_failed_background_response_has_an_error(world: World) -> None:
    world.vendor.fault("error", status=500)
    begun = respond(world, "gemini", "x", background=True)
    path = f"/v1/responses/{begun['id']}"
    until(lambda: world.get(path).json()["status"] == "failed", "the response has failed")
    assert world.get(path).json()["error"]["message"]


# --- token counts


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1/messages/count_tokens?beta=true"])
def test_tokens_are_counted_for_every_upstream(world: World, upstream: str, path: str) -> None:
    """Tools, images and the system prompt count, too. Otherwise clients would exceed the context."""
    plain = {"model": upstream, "messages": [{"role": "user", "content": "hello there"}]}
    tool = {"name": "weather", "description": "Tells the weather. " * 20, "input_schema": {"type": "object"}}
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    counts = [
        world.call(path, {**plain, **more}, anthropic_version="2023-06-01")
        for more in (
            {},
            {"system": "Be brief and friendly. " * 10},
            {"tools": [tool]},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "hello there"}, picture]}]},
        )
    ]
    assert [answer.status_code for answer in counts] == [200] * 4
    first, *others = [answer.json()["input_tokens"] for answer in counts]
    assert 0 < first < min(others)


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("version", ["v1beta", "v1"])
def test_gemini_client_can_count_tokens(world: World, upstream: str, version: str) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "hello there my friend"}]}]}
    answer = world.call(f"/{version}/models/{upstream}:countTokens", body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["totalTokens"] > 0


# --- embeddings

EMBEDDERS = ["openai", "azure", "gemini", "ollama"]


def vectors_of(world: World, surface: str, upstream: str, texts: list[str]) -> list[list[float]]:
    if surface == "ollama":
        return list(world.call("/api/embed", {"model": upstream, "input": texts}).json()["embeddings"])
    if surface == "gemini":
        requests = [{"model": f"models/{upstream}", "content": {"parts": [{"text": text}]}} for text in texts]
        answer = world.call(f"/v1beta/models/{upstream}:batchEmbedContents", {"requests": requests})
        return [each["values"] for each in answer.json()["embeddings"]]
    kind = "base64" if surface == "openai base64" else "float"
    data = world.call("/v1/embeddings", {"model": upstream, "input": texts, "encoding_format": kind}).json()["data"]
    assert [each["index"] for each in data] == list(range(len(texts)))
    if kind == "float":
        return [each["embedding"] for each in data]
    return [decoded(each["embedding"]) for each in data]


def decoded(text: str) -> list[float]:
    raw = base64.b64decode(text, validate=True)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


@pytest.mark.parametrize("upstream", EMBEDDERS)
@pytest.mark.parametrize("surface", ["openai", "openai base64", "gemini", "ollama"])
def test_embeddings_are_in_order_and_in_the_requested_format(world: World, surface: str, upstream: str) -> None:
    texts = ["red apple", "blue sky", "green grass"]
    together = vectors_of(world, surface, upstream, texts)
    alone = [vectors_of(world, surface, upstream, [text])[0] for text in texts]
    assert len({tuple(vector) for vector in together}) == 3
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
        assert sum(each * each for each in one) == pytest.approx(1, abs=1e-3)
    reference = vectors_of(world, "openai", upstream, texts)
    for one, other in zip(together, reference, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize("upstream", EMBEDDERS)
def test_embeddings_are_recorded(world: World, upstream: str) -> None:
    answer = world.call("/v1/embeddings", {"model": upstream, "input": "one two three four"})
    record = world.record(answer)
    if upstream == "gemini":  # Gemini does not report it, so it is estimated
        assert record["usage"]["is_estimated"]
    else:
        assert answer.json()["usage"]["prompt_tokens"] == record["usage"]["input_tokens"] > 0
    assert record["cost_microusd"] > 0
    assert answer.headers["x-intellirouter-deployment"] == f"{upstream}-priced"


@pytest.mark.parametrize("upstream", EMBEDDERS)
def test_embeddings_have_the_requested_dimensions(world: World, upstream: str) -> None:
    body = {"model": upstream, "input": "red apple", "dimensions": 128, "encoding_format": "base64"}
    answer = world.call("/v1/embeddings", body)
    assert answer.status_code == 200, answer.text
    assert len(decoded(answer.json()["data"][0]["embedding"])) == 128


def test_gemini_client_can_embed_one_text(world: World) -> None:
    answer = world.call("/v1beta/models/ollama:embedContent", {"content": {"parts": [{"text": "red apple"}]}})
    assert len(answer.json()["embedding"]["values"]) > 10


def test_older_ollama_endpoint_embeds_one_text(world: World) -> None:
    answer = world.call("/api/embeddings", {"model": "openai", "prompt": "red apple"})
    assert len(answer.json()["embedding"]) > 10


@pytest.mark.parametrize("upstream", ["anthropic", "responses", "bedrock"])
@pytest.mark.parametrize("path", ["/v1/embeddings", "/api/embed"])
def test_deployment_without_embeddings_is_named_in_the_error(world: World, upstream: str, path: str) -> None:
    answer = world.call(path, {"model": upstream, "input": "x"})
    assert answer.status_code == 400
    assert f"{upstream}-priced" in answer.text


# --- models


def test_every_dialect_lists_the_models_of_the_caller(world: World) -> None:
    openai = world.get("/v1/models").json()
    assert openai["object"] == "list"
    names = {each["id"] for each in openai["data"]}
    assert {"openai", "team/deep/name:v1.2", "claude-opus-5-5"} <= names
    anthropic = world.get("/v1/models?limit=1000", anthropic_version="2023-06-01").json()
    assert names == {each["id"] for each in anthropic["data"]}
    assert {each["type"] for each in anthropic["data"]} == {"model"}
    gemini = world.get("/v1beta/models?pageSize=1000").json()
    assert names == {each["name"].removeprefix("models/") for each in gemini["models"]}
    ollama = world.get("/api/tags").json()
    assert names == {each["name"] for each in ollama["models"]}
    assert world.get("/v1/models", key="narrow").json()["data"] == []


@pytest.mark.parametrize("name", ["openai", "team/deep/name:v1.2", "team%2Fdeep%2Fname:v1.2"])
def test_one_model_can_be_retrieved(world: World, name: str) -> None:
    plain = name.replace("%2F", "/")
    assert world.get(f"/v1/models/{name}").json()["id"] == plain
    assert world.get(f"/v1beta/models/{name}").json()["name"] == f"models/{plain}"
    assert world.call("/api/show", {"model": plain}).json()["capabilities"]
    assert world.get("/v1/models/nobody", anthropic_version="2023-06-01").json()["error"]["type"] == "not_found_error"
    assert world.call("/api/show", {"model": "nobody"}).status_code == 404


def test_ollama_endpoints_return_running_models_and_version(world: World) -> None:
    assert world.get("/api/ps").json() == {"models": []}
    assert world.get("/api/version").json()["version"].count(".") == 2
    loaded = world.call("/api/generate", {"model": "anthropic"})
    assert (loaded.status_code, loaded.json()["done_reason"]) == (200, "load")
    assert world.sent() == []


# --- moderations, images, audio, reranking


@pytest.mark.parametrize("upstream", ["openai", "anything"])
def test_moderations_are_passed_through(world: World, upstream: str) -> None:
    answer = world.call("/v1/moderations", {"model": f"{upstream}/mock-large", "input": ["kill them", "hello"]})
    assert [each["flagged"] for each in answer.json()["results"]] == [True, False]


@pytest.mark.parametrize("upstream", ["openai", "azure"])
def test_images_are_created_and_edited(world: World, upstream: str) -> None:
    made = world.call("/v1/images/generations", {"model": upstream, "prompt": "a cat"})
    picture = base64.b64decode(made.json()["data"][0]["b64_json"])
    assert picture.startswith(b"\x89PNG")
    assert world.record(made)["usage"]["output_image_tokens"] > 0
    for path in ("/v1/images/edits", "/v1/images/variations"):
        if (upstream, path) == ("azure", "/v1/images/variations"):
            continue  # Azure does not support it
        changed = world.http.post(
            path,
            data={"model": upstream, "prompt": "a dog"},
            files={"image": ("cat.png", picture, "image/png")},
            headers={"authorization": made.request.headers["authorization"]},
        )
        assert changed.status_code == 200, changed.text
        assert changed.json()["data"]
    assert all("sk-ann" not in json.dumps(each) for each in world.sent())


@pytest.mark.parametrize("upstream", ["openai", "azure"])
def test_speech_is_created_and_transcribed(world: World, upstream: str) -> None:
    spoken = world.call("/v1/audio/speech", {"model": upstream, "input": "hello", "voice": "alloy"})
    assert spoken.headers["content-type"] == "audio/mpeg"
    assert len(spoken.content) > 100
    for path in ("/v1/audio/transcriptions", "/v1/audio/translations"):
        heard = world.http.post(
            path,
            data={"model": upstream},
            files={"file": ("a.mp3", spoken.content, "audio/mpeg")},
            headers={"authorization": spoken.request.headers["authorization"]},
        )
        assert heard.status_code == 200, heard.text
        assert f"{len(spoken.content)} bytes" in heard.json()["text"]  # every byte arrived


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_documents_are_ranked(world: World, path: str) -> None:
    documents = ["green grass", "a red apple", "blue sky"]
    answer = world.call(path, {"model": "anything/ranker", "query": "red apple", "documents": documents, "top_n": 2})
    assert answer.status_code == 200, answer.text
    first, _ = answer.json()["results"]
    assert first["index"] == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/moderations", {"input": "x"}),
        ("/v1/rerank", {"query": "x", "documents": ["y"]}),
        ("/v1/images/generations", {"prompt": "x"}),
        ("/v1/audio/speech", {"input": "x", "voice": "alloy"}),
    ],
)
@pytest.mark.parametrize("upstream", ["anthropic", "ollama", "bedrock"])
def test_deployment_without_the_operation_is_named_and_not_called(
    world: World, path: str, body: dict[str, Any], upstream: str
) -> None:
    answer = world.call(path, {"model": upstream, **body})
    assert answer.status_code == 400
    assert f"{upstream}-priced does not support" in answer.json()["error"]["message"]
    assert world.sent() == []


# --- the legacy completions


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_completion_stream_has_usage_only_if_requested(world: World, upstream: str, stream: bool) -> None:
    answer = world.call("/v1/completions", {"model": upstream, "prompt": "say", "stream": stream})
    assert answer.status_code == 200
    assert ('"usage":{' in answer.text.replace('": {', '":{').replace("\n", "")) is not stream
