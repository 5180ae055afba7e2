import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from intellirouter.testing import MockVendor

sys.path.insert(0, str(Path(__file__).parent))  # for `wire_asks`, which the tests of this folder share


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
