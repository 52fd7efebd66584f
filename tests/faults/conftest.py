from tests.support.databases import new_database

__all__ = ["new_database"]
