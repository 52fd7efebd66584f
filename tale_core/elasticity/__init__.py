"""Elasticity: one question under smaller and smaller budgets, and what the model really spends under each."""
