"""The Settings page: which model answers, how it samples, how it is asked."""
