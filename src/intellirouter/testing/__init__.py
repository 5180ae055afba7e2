"""What you need to test your integration without a vendor, without a network and without waiting.

Door: `FakeProvider` (an upstream inside the process), `FAKE_MODELS` (its magic models and what they do), `FakeClock`.
"""

from intellirouter.testing.fake_clock import FakeClock
from intellirouter.testing.fake_provider import FakeProvider
from intellirouter.testing.openai_wire import FAKE_MODELS

__all__ = ["FAKE_MODELS", "FakeClock", "FakeProvider"]
