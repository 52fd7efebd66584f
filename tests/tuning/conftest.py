"""Fixtures for tests with the small model."""

from tests.support.fixtures_model import smollm_cache

__all__ = ["smollm_cache"]
