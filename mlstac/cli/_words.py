"""Numbers as people say them: the collection's own words, by the names that the pages here use."""

from mlstac.collection import say_box, say_bytes, say_count, say_dtype, say_interval, say_number, say_shape

__all__ = ["say_box", "say_bytes", "say_count", "say_dtype", "say_interval", "say_number", "say_shape"]
