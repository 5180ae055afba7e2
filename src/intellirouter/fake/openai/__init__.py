"""OpenAI's wire format: chat completions, embeddings and errors, as the vendor itself sends them."""
