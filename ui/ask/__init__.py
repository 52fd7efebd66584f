"""The Ask page: its form, and one Ask as a picture."""
