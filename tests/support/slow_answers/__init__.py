"""Answers that are slow to process, an upstream that sends them, and a way to notice when they stop the event loop."""
