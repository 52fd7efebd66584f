"""The History page: the list of sessions with its filters, comparison, archives and the trash."""
