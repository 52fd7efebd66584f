"""The Search page: its form, and one search as a picture."""
