"""What these tests share: an instance with traces of its customers, and both databases."""

from erasable import scene, untouched
from stores import postgres, postgres_tables

__all__ = ["postgres", "postgres_tables", "scene", "untouched"]
