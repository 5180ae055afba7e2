"""LangChain: its own standard tests of chat models, over chat completions, responses and messages, and embeddings."""

import base64
import contextlib
import io
import os
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from langchain_anthropic import _client_utils as anthropic_clients
from langchain_openai import OpenAIEmbeddings
from langchain_openai.chat_models import _client_utils as openai_clients
from langchain_tests.integration_tests import chat_models
from pydantic import BaseModel, Field

from tests.support.clients.checks import RED_PIXEL, Case, check, run

SUITES = Path(__file__).parent
KEPT_CLIENTS = (openai_clients._cached_async_httpx_client, anthropic_clients._get_default_async_httpx_client)
STANDARD_TESTS_MIN = 38


class Judge:
    """Hears what pytest finds."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(f"{report.nodeid.rpartition('::')[2]}:\n{report.longreprtext[-3000:]}")
        elif report.when == "call" and report.passed:
            self.passed += 1


class OnlyThree(BaseModel):
    """The vendor makes arguments up from the schema; the standard tests expect what their question says."""

    input: int = Field(ge=3, le=3)


class OnlyHello(BaseModel):
    customer_name: Literal["你好啊集团 こんにちは株式会社"]
    description: str


def picture(_url: str, **_settings: Any) -> httpx.Response:
    """The standard tests fetch pictures from the internet."""
    return httpx.Response(200, content=base64.b64decode(RED_PIXEL))


def standard_tests(case: Case, suite: str) -> None:
    judge = Judge()
    options = ["-q", "-p", "no:cacheprovider", "--benchmark-skip", "-o", "asyncio_mode=auto", "-W", "ignore"]
    options += ["-o", "asyncio_default_test_loop_scope=session", "-o", "asyncio_default_fixture_loop_scope=session"]
    place = ["--rootdir", str(SUITES), "--confcutdir", str(SUITES)]
    for kept in KEPT_CLIENTS:  # they belong to the event loop of the suite before
        kept.cache_clear()
    os.environ["UPSTREAM"] = case.upstream
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = pytest.main([*options, *place, str(SUITES / suite)], plugins=[judge])
    assert not judge.failed, f"{len(judge.failed)} failed, {judge.passed} passed\n" + "\n".join(judge.failed)
    assert status == 0, said.getvalue()[-3000:]
    assert judge.passed >= STANDARD_TESTS_MIN, f"only {judge.passed} standard tests ran:\n{said.getvalue()[-3000:]}"


@check(without=["via-ollama"])
def standard_tests_of_chat_openai(case: Case) -> None:
    standard_tests(case, "suite_chat_openai.py")


@check(without=["via-ollama"])
def standard_tests_of_chat_openai_over_responses(case: Case) -> None:
    standard_tests(case, "suite_responses.py")


@check(without=["via-ollama"])
def standard_tests_of_chat_anthropic(case: Case) -> None:
    standard_tests(case, "suite_chat_anthropic.py")


@check(only=["via-openai", "via-gemini", "via-ollama"])
def embeddings(case: Case) -> None:
    model = OpenAIEmbeddings(
        model=case.magic("embed"), base_url=case.base_url, api_key=case.key, check_embedding_ctx_length=False
    )
    first, second = model.embed_documents(["the quick fox", "unrelated"])
    assert len(first) == len(second) > 0
    assert first != second
    assert model.embed_query("the quick fox") == first


if __name__ == "__main__":
    httpx.get = picture
    chat_models.magic_function.args_schema = OnlyThree
    chat_models.unicode_customer.args_schema = OnlyHello
    run()
