"""The bytes below every dialect: JSON, server-sent events, media types."""
