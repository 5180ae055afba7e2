"""What all of OpenAI's dialects share: the error envelope and the usage object."""
