"""What the wire formats of several vendors share: requests, forms, JSON lines, the prompt cache, opaque tokens."""
