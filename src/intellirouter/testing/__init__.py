"""What you need to test your integration without a vendor, without a network and without waiting.

Door: `MockVendor` (an OpenAI-compatible vendor in a process of its own, with faults on demand), `FAULT_KINDS` (what
it can break), `FakeProvider` (an upstream inside the process), `FAKE_MODELS` (its magic models and what they do),
`FakeClock`.
"""

from intellirouter.testing.fake_clock import FakeClock
from intellirouter.testing.fake_provider import FakeProvider
from intellirouter.testing.faults import FAULT_KINDS
from intellirouter.testing.mock_vendor import MockVendor
from intellirouter.testing.plan import FAKE_MODELS

__all__ = ["FAKE_MODELS", "FAULT_KINDS", "FakeClock", "FakeProvider", "MockVendor"]
