"""What these tests share: an instance with traces of its customers."""

from erasable import scene, untouched

__all__ = ["scene", "untouched"]
