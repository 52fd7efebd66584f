"""Endpoint groups: several endpoints behind one model name, with another one asked where one fails."""
