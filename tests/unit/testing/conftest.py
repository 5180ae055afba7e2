from collections.abc import Iterator

import pytest
from openai import OpenAI

from intellirouter.testing import MockVendor


@pytest.fixture(scope="session")
def running_vendor() -> Iterator[MockVendor]:
    with MockVendor() as vendor:
        yield vendor


@pytest.fixture
def vendor(running_vendor: MockVendor) -> MockVendor:
    running_vendor.reset()
    return running_vendor


@pytest.fixture
def client(vendor: MockVendor) -> Iterator[OpenAI]:
    with OpenAI(base_url=vendor.base_url, api_key="sk-any", max_retries=0, timeout=10) as client:
        yield client
