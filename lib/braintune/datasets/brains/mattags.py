"""Are the elements of a MATLAB file of versions 5 to 7 what they must be? scipy trusts them.

One of a type that does not exist, or one that is missing, ends the whole process. Here they are walked through first;
values are passed over.

The format is MathWorks' "MAT-File Format": a file is a row of elements, each with a tag of type and length. A variable
is a *matrix*, whose parts are elements as well; a cell or a struct holds further matrices. One may be compressed.
"""

import io
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

#: Types of elements.
DIMENSIONS, FLAGS, MATRIX, COMPRESSED = 5, 6, 14, 15
NUMBERS = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13}
TEXTS = {1, 2, 4, 16, 17, 18}
#: Classes of matrices that are not made of further ones: text, sparse, and the ten kinds of numbers.
CHAR, SPARSE, NUMERIC = 4, 5, range(6, 16)
#: Cells within cells; axes of an array; bytes of a compressed file that are read, and of zeros passed over, at a time.
DEEPEST, AXES, BLOCK = 50, 32, 2**20


class _Bytes:
    """The bytes of a file, or of a compressed part of one, from the first to the last."""

    def __init__(self, file: BinaryIO, packed: int | None = None) -> None:
        self.file, self.packed, self.at, self.ready = file, packed, 0, b""
        self.inflate = zlib.decompressobj()

    def take(self, count: int) -> bytes:
        """Return the next bytes.

        Raises
        ------
        ValueError
            If there are fewer.
        """
        self.at += count
        if self.packed is None:
            found = self.file.read(count)
        else:
            while len(self.ready) < count and (more := self._more()):
                self.ready += more
            found, self.ready = self.ready[:count], self.ready[count:]
        if len(found) < count:
            raise ValueError(f"{count - len(found):,} bytes are missing at the end")
        return found

    def _more(self) -> bytes:
        """Return some more of what is compressed; nothing at its end."""
        if not (raw := self.inflate.unconsumed_tail):
            raw = self.file.read(min(BLOCK, self.packed))
            self.packed -= len(raw)
        return self.inflate.decompress(raw, BLOCK) if raw else b""

    def skip(self, count: int) -> None:
        """Pass over the next bytes."""
        if self.packed is None:
            self.file.seek(count, io.SEEK_CUR)
            self.at += count
            return
        while count > 0:
            count -= len(self.take(min(count, BLOCK)))


def require_whole(path: Path) -> None:
    """Walk through the elements of a file of versions 5 to 7.

    Raises
    ------
    ValueError
        If an element is cut short, of an unknown type, or not what its place asks for.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        order = {b"IM": "<", b"MI": ">"}.get(file.read(128)[126:])
        while order and file.tell() < size:
            kind, length = struct.unpack(f"{order}II", _Bytes(file).take(8))
            end = file.tell() + length
            if end > size:
                raise ValueError(f"{end - size:,} bytes are missing at the end")
            if kind == COMPRESSED:
                packed = _Bytes(file, length)
                kind, length = struct.unpack(f"{order}II", packed.take(8))
                _require_matrix(packed, order, kind, length)
            else:
                _require_matrix(_Bytes(file), order, kind, length)
            file.seek(end)


def _require_matrix(source: _Bytes, order: str, kind: int, length: int, depth: int = 0) -> None:
    """Walk through the parts of a matrix of so many bytes."""
    if kind != MATRIX or depth > DEEPEST:
        raise ValueError(f"an element of type {kind} stands where a matrix must, {depth} cells deep")
    if not length:
        return
    end = source.at + length
    tag, flags = struct.unpack(f"{order}8sI4x", source.take(16))
    if struct.unpack(f"{order}II", tag) != (FLAGS, 8):
        raise ValueError("a matrix does not begin with its class")
    parts, shape = [], b""
    while source.at < end:
        kind, size = struct.unpack(f"{order}II", source.take(8))
        if kind >> 16:  # a small element: its values are within its tag
            kind &= 0xFFFF
        elif kind == MATRIX:
            _require_matrix(source, order, kind, size, depth + 1)
        elif not parts:
            if size > 4 * AXES:
                raise ValueError(f"a matrix has {size // 4:,} axes")
            shape = source.take(size)
            source.skip(-size % 8)
        else:
            source.skip(size + -size % 8)
        parts.append(kind)
    _require_parts(flags & 0xFF, flags >> 11 & 1, parts)
    claimed = math.prod(abs(n) for (n,) in struct.iter_unpack(f"{order}i", shape[: len(shape) // 4 * 4]))
    if claimed > length and flags & 0xFF != SPARSE:  # each value takes a byte at least
        raise ValueError(f"a matrix claims {claimed:,} values, but has {length:,} bytes")
    if source.at != end:
        raise ValueError("the parts of a matrix do not end where it does")


def _require_parts(kind: int, is_complex: int, parts: list[int]) -> None:
    """Compare the types of a matrix's parts with its class."""
    values = parts[2:]
    if kind == CHAR:
        fits = len(values) == 1 and set(values) <= TEXTS
    elif kind == SPARSE or kind in NUMERIC:
        fits = len(values) == (3 if kind == SPARSE else 1) + is_complex and set(values) <= NUMBERS
    else:
        fits = set(values) <= {DIMENSIONS, MATRIX} | TEXTS
    if parts[:1] != [DIMENSIONS] or not set(parts[1:2]) <= TEXTS or not fits:
        raise ValueError(f"a matrix of class {kind} is made of elements of the types {parts[:8]}")
