"""Prompts: every message that is sent to a model, and the prompt templates that people can choose from."""
