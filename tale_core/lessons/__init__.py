"""Lessons: real runs recorded with their timing, replayed without a model, and rooms in which a class asks together."""
