"""TALE: token-budget-aware reasoning. The engine; it knows nothing of Streamlit."""

__version__ = "0.1.0"
