"""Fixtures for tests with the small model."""

from tests.fixtures_model import smollm_cache

__all__ = ["smollm_cache"]
