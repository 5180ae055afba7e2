"""`/v1/batches`: files of requests that the gateway runs. Batches continue after a restart."""
