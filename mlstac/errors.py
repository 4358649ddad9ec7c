"""The errors that mlstac raises on purpose.

Every class stands for one thing that a caller would do about it, and is also the builtin that people already catch::

    MlstacError
    ├── InvalidArgumentError (ValueError)       an argument that cannot be meant; change the call
    ├── InvalidSampleError (ValueError)         a sample that cannot be written as it is; change the sample
    ├── NotFoundError (LookupError)             a name that the dataset lacks: split, tensor, band, class, column
    ├── FormatError (ValueError)                what is stored is not what the format says; mend or fetch the data again
    │   ├── CollectionError                       collection.json is not JSON, not a collection, or breaks the model
    │   │   └── VersionError                        it, or its journal, is of a version that this library does not know
    │   ├── CatalogError                          a catalog part lacks columns, or its rows point outside their shards
    │   └── ShardError                            a shard's header or length is wrong
    │       └── ChecksumError                       bytes of a sample are not those that were written
    ├── StorageError (OSError)                  bytes could not be had or put
    │   ├── MissingFileError (FileNotFoundError)  nothing at that path or URL
    │   ├── AccessError (PermissionError)         refused: credentials, terms, or a place outside the dataset
    │   ├── UnavailableError (ConnectionError)    the server failed, refused or broke off, after every retry
    │   ├── RangeError                            the server does not answer byte ranges
    │   ├── ChangedError                          the file is not the one that was opened; load the dataset again
    │   └── ExistsError (FileExistsError)         something is there already, or another writer is at work
    ├── UnknownFrameworkError (ValueError)      no adapter of that name
    ├── MissingFrameworkError (ImportError)     the framework is not installed
    ├── MissingPackageError (ImportError)       an optional package is not installed
    ├── DeviceError (ValueError)                the device is not there, or belongs to another framework
    ├── DtypeError (TypeError)                  the framework cannot hold that dtype exactly
    └── StateError (ValueError)                 a state of batches that does not fit these, or is damaged

Each carries one message and survives pickling, for errors cross worker processes.
"""

__all__ = [
    "AccessError",
    "CatalogError",
    "ChangedError",
    "ChecksumError",
    "CollectionError",
    "DeviceError",
    "DtypeError",
    "ExistsError",
    "FormatError",
    "InvalidArgumentError",
    "InvalidSampleError",
    "MissingFileError",
    "MissingFrameworkError",
    "MissingPackageError",
    "MlstacError",
    "NotFoundError",
    "RangeError",
    "ShardError",
    "StateError",
    "StorageError",
    "UnavailableError",
    "UnknownFrameworkError",
    "VersionError",
]


class MlstacError(Exception):
    """Root of every error that the library raises on purpose."""


class InvalidArgumentError(MlstacError, ValueError):
    """An argument that cannot be meant; change the call."""


class InvalidSampleError(MlstacError, ValueError):
    """A sample that cannot be written as it is; change the sample."""


class NotFoundError(MlstacError, LookupError):
    """A name that the dataset does not have; the message lists those that it has."""


class FormatError(MlstacError, ValueError):
    """What is stored is not what the format says."""


class CollectionError(FormatError):
    """``collection.json`` is not JSON, not a collection, or breaks the model."""


class VersionError(CollectionError):
    """The collection is of a major version that this library does not know, or its journal of a newer one."""


class CatalogError(FormatError):
    """A catalog part lacks columns, or its rows point outside their shards."""


class ShardError(FormatError):
    """A shard's header or length is wrong."""


class ChecksumError(ShardError):
    """Bytes of a sample are not those that were written."""


class StorageError(MlstacError, OSError):
    """Bytes could not be had or put."""


class MissingFileError(StorageError, FileNotFoundError):
    """Nothing is at that path or URL."""


class AccessError(StorageError, PermissionError):
    """Refused: by credentials, by terms, or because the place lies outside the dataset."""


class UnavailableError(StorageError, ConnectionError):
    """The server failed, refused or broke off, after every retry."""


class RangeError(StorageError):
    """The server does not answer byte ranges."""


class ChangedError(StorageError):
    """The file is no longer the one that was opened."""


class ExistsError(StorageError, FileExistsError):
    """Something is there already, or another writer is at work."""


class UnknownFrameworkError(MlstacError, ValueError):
    """No adapter of that name is known."""


class MissingFrameworkError(MlstacError, ImportError):
    """The framework is not installed."""


class MissingPackageError(MlstacError, ImportError):
    """A package that this feature needs is not installed."""


class DeviceError(MlstacError, ValueError):
    """The device is not there, or belongs to another framework."""


class DtypeError(MlstacError, TypeError):
    """The framework cannot hold that dtype exactly."""


class StateError(MlstacError, ValueError):
    """A state of batches belongs to another dataset or another order, or is damaged."""
