"""`/v1/batches`: files of requests, run by the gateway, durable across restarts."""
