from tests.databases import new_database, postgresql

__all__ = ["new_database", "postgresql"]
