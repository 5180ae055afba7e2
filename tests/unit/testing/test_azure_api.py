"""MockVendor's Azure OpenAI API, tested with OpenAI's SDK."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AzureOpenAI, OpenAI

from intellirouter.testing import MockVendor

HELLO: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture
def azure(vendor: MockVendor) -> Iterator[AzureOpenAI]:
    with AzureOpenAI(
        azure_endpoint=vendor.azure_url, api_key="any", api_version="2024-10-21", max_retries=0, timeout=10
    ) as client:
        yield client


def test_deployment_selects_the_model(azure: AzureOpenAI, vendor: MockVendor) -> None:
    answer = azure.chat.completions.create(model="mine", messages=HELLO)
    assert answer.choices[0].message.content == "mine: hello"
    assert answer.model_dump()["choices"][0]["content_filter_results"]["hate"]["severity"] == "safe"
    (request,) = vendor.requests()
    assert request["path"] == "/openai/deployments/mine/chat/completions?api-version=2024-10-21"
    assert (request["model"], dict(request["headers"])["api-key"]) == ("mine", "any")
    assert len(azure.embeddings.create(model="e", input="a").data) == 1
    transcript = azure.audio.transcriptions.create(model="whisper", file=("a.wav", b"x"))
    assert transcript.text == "whisper: a.wav, 1 bytes"


def test_stream_starts_with_prompt_filters(azure: AzureOpenAI) -> None:
    first, *chunks = azure.chat.completions.create(model="mine", messages=HELLO, stream=True)
    assert (first.choices, first.id) == ([], "")
    assert first.model_dump()["prompt_filter_results"][0]["prompt_index"] == 0
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "mine: hello"


def test_v1_paths(vendor: MockVendor) -> None:
    with OpenAI(base_url=f"{vendor.azure_url}/openai/v1/", api_key="any", max_retries=0) as client:
        assert client.responses.create(model="m", input="hello").output_text == "m: hello"
        answer = client.chat.completions.create(model="m", messages=HELLO, extra_headers={"x-mock-fault": "extra"})
        assert answer.choices[0].message.content == "m: hello"


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [("no-such-x", 404, "DeploymentNotFound"), ("refuse", 400, "content_filter"), ("error-429", 429, "429"),
     ("error-500", 500, "500")],
)  # fmt: skip
def test_errors_have_azures_format(azure: AzureOpenAI, model: str, status: int, code: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        azure.chat.completions.create(model=model, messages=HELLO)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.response.headers["apim-request-id"]
    if status == 429:
        assert caught.value.response.headers["retry-after-ms"] == "1000"


def test_keys_versions_and_paths_are_validated() -> None:
    cases = [("wrong", "2024-10-21", 401), ("right", "soon", 404), ("right", "2024-10-21", 200)]
    with MockVendor(api_key="right") as vendor:
        for key, version, status in cases:
            url = vendor.azure_url
            with AzureOpenAI(azure_endpoint=url, api_key=key, api_version=version, max_retries=0) as client:
                raw = client.chat.completions.with_raw_response
                try:
                    found = raw.create(model="m", messages=HELLO).status_code
                except openai.APIStatusError as error:
                    found = error.status_code
                assert found == status
