"""One array of an npz file, checked by its header and read item by item, so that no claim costs memory."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO

import numpy as np

from gan_gym.data.memory import MEMORY_LIMIT
from gan_gym.data.report import DataError

_CHUNK = 2**24


class ArrayFile:
    """A plain C-ordered array inside an npz file.

    Args:
        archive: the npz file.
        key: name of the array, which exists.
        path: what to call the file in messages.

    Raises:
        DataError: if the array holds pickled objects, is in Fortran order, or claims more bytes than
            `MEMORY_LIMIT` or than the file holds.
    """

    def __init__(self, archive: zipfile.ZipFile, key: str, path: str) -> None:
        what = f"the array {key!r} in {path}"
        info = archive.getinfo(key + ".npy")
        self._archive, self._info = archive, info
        with archive.open(info) as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise DataError(
                    f"{what} has npy format {version}, not (1, 0); save it again with numpy.savez"
                )
            self.shape, fortran, self.dtype = np.lib.format.read_array_header_1_0(file)
            self._start = file.tell()
        if self.dtype.hasobject:
            raise DataError(f"{what} holds pickled objects, which are never loaded; save plain uint8 images")
        if fortran and len(self.shape) > 1:
            raise DataError(f"{what} is in Fortran order; save numpy.ascontiguousarray of it")
        n_bytes = math.prod(self.shape) * self.dtype.itemsize
        if min(self.shape, default=0) < 1 or n_bytes > MEMORY_LIMIT:
            raise DataError(
                f"{what} has shape {self.shape}, but arrays of 1 byte to {MEMORY_LIMIT / 2**30:.0f} GiB are "
                "accepted; save a smaller part of it"
            )
        if self._start + n_bytes != info.file_size:
            raise DataError(f"{what} is cut short or has extra bytes; save it again with numpy.savez")

    def items(self, index: Iterable[int]) -> Iterator[np.ndarray]:
        """Yield the items at `index`, which ascends, along the first axis."""
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        with self._archive.open(self._info) as file:
            at = 0
            _skip(file, self._start)
            for i in index:
                _skip(file, (i - at) * size)
                yield np.frombuffer(_read(file, size), self.dtype).reshape(self.shape[1:])
                at = i + 1

    def whole(self) -> np.ndarray:
        """Return the whole array."""
        with self._archive.open(self._info) as file:
            _skip(file, self._start)
            size = math.prod(self.shape) * self.dtype.itemsize
            return np.frombuffer(_read(file, size), self.dtype).reshape(self.shape)


def _read(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError("the data ends early")
    return data


def _skip(file: IO[bytes], size: int) -> None:
    while size > 0:
        size -= len(_read(file, min(size, _CHUNK)))
