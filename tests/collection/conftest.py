"""Settings of this room's tests."""

from hypothesis import settings

# a shared machine makes no promise about how long one example takes
settings.register_profile("collection", deadline=None)
settings.load_profile("collection")
