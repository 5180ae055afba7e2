"""Requests that are slow to decode, and a way to notice when they stop the event loop."""
