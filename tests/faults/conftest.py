"""The shared gateway of the folder `e2e`, for tests that break things."""

from tests.support.gateway.fixtures import gateway, vendor

__all__ = ["gateway", "vendor"]
