"""What tests share, by subject: processes, clients, builders, validators. Nothing here is collected as a test."""
