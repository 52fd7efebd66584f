"""The database itself: finding and opening it, its schema, transactions, outages, and who owns a session."""
