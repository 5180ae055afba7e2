"""Stored responses: `/v1/responses/{id}`, `previous_response_id`, background responses."""
