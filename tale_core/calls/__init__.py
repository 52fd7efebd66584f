"""Calls: how a request to a model is sent, limited, retried, booked, graded, reused and written to the store."""
