"""What these tests share: an instance with traces of its customers."""

from erasable import encrypted_scene, scene, untouched

__all__ = ["encrypted_scene", "scene", "untouched"]
