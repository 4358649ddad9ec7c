"""`mlstac demo`: the whole way of a dataset on real imagery, from a scene to a trained network and a picture."""

from mlstac.cli.demo._scene import Scene, find_scene, read_scene
from mlstac.cli.demo._story import DATASET, author_scene, run_demo

__all__ = ["DATASET", "Scene", "author_scene", "find_scene", "read_scene", "run_demo"]
