"""The stores that the tests share."""

from stores import postgres, postgres_url, sqlite_store, store, url

__all__ = ["postgres", "postgres_url", "sqlite_store", "store", "url"]
