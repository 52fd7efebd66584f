"""Adapters: what fine-tuning made of a model: kept by name, checked before use, given to other programs and taken."""
