from tests.databases import new_database

__all__ = ["new_database"]
