"""`/v1/files`: the uploads of clients, and the output of batches."""
