"""Requests and replies for tests of the fake models and MockVendor."""
