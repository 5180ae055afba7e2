"""The basics of every wire format: JSON, server-sent events, media types."""
