"""Messages between the grader and a worker: JSON with arrays beside it, bounded in size. Nothing is unpickled.

A frame is two lengths (unsigned, 4 bytes each), a JSON object and the bytes of its arrays, one after another. What a
worker sends is the work of whoever wrote the notebook: a frame is refused if it is anything else than that.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mechlib.checks.plain import Plain
from mechlib.checks.question import Model, Value

__all__ = ["BadFrame", "Blob", "decode", "encode", "receive", "send"]

LENGTHS = struct.Struct("!II")
MAX_JSON = 8 * 2**20
MAX_BLOB = 64 * 2**20
MOST_AXES = 64
CHUNK = 2**16

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool)
}

Message = dict[str, Any]


class BadFrame(ValueError):
    """What came is not a frame, or breaks a limit."""


class Blob:
    """The bytes of a frame's arrays, taken one after another in the order in which they were put."""

    def __init__(self, content: bytes = b"") -> None:
        self._parts = [content]
        self._taken = 0

    def put(self, array: Tensor) -> Message:
        """Add an array; what the JSON says about it."""
        plain = array.detach().cpu().contiguous()
        self._parts.append(plain.numpy().tobytes())
        return {"dtype": str(plain.dtype).removeprefix("torch."), "shape": list(plain.shape)}

    def take(self, about: object) -> Tensor:
        """The next array.

        Raises:
            BadFrame: if what the JSON says about it does not fit the bytes.
        """
        if not isinstance(about, dict) or not isinstance(about.get("shape"), list) or len(about["shape"]) > MOST_AXES:
            raise BadFrame("an array without a shape")
        shape, dtype = about["shape"], DTYPES.get(str(about.get("dtype")))
        if dtype is None or not all(type(length) is int and 0 <= length <= MAX_BLOB for length in shape):
            raise BadFrame(f"an array of dtype {str(about.get('dtype'))[:20]} or of odd shape")
        if math.prod(length or 1 for length in shape) > MAX_BLOB:
            raise BadFrame("an array of odd shape")
        size = math.prod(shape) * dtype.itemsize
        if size > len(self.content) - self._taken:
            raise BadFrame("an array longer than the bytes that came with it")
        content = self.content[self._taken : self._taken + size]
        self._taken += size
        if not content:
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(bytearray(content), dtype=dtype).reshape(shape)

    @property
    def content(self) -> bytes:
        """All bytes."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0]


def encode(value: Value | Plain, blob: Blob) -> Any:
    """An input, or what is handed in, as JSON, its arrays in ``blob``. A model travels as its name."""
    if isinstance(value, Tensor):
        return {"array": blob.put(value)}
    if isinstance(value, Model):
        return {"model": [value.name, value.step]}
    if isinstance(value, list):
        return [encode(part, blob) for part in value]
    if isinstance(value, dict):
        return {"mapping": [[name, encode(part, blob)] for name, part in value.items()]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"an input may be a tensor, a number, text, a list or a model, not {type(value).__name__}")


def decode(value: Any, blob: Blob) -> Value:
    """The input that ``encode`` made ``value`` from."""
    if isinstance(value, list):
        return [decode(part, blob) for part in value]
    if isinstance(value, dict):
        return Model(*value["model"]) if "model" in value else blob.take(value["array"])
    return value


def send(channel: socket.socket, message: Message, blob: Blob | None = None) -> None:
    """Send one frame.

    Raises:
        BadFrame: if it is larger than the other side accepts; nothing is sent then.
        OSError: if the other side is gone.
    """
    text, content = json.dumps(message).encode(), blob.content if blob else b""
    if len(text) > MAX_JSON or len(content) > MAX_BLOB:
        raise BadFrame(f"a frame of {len(text)} and {len(content)} bytes; at most {MAX_JSON} and {MAX_BLOB} are sent")
    channel.sendall(LENGTHS.pack(len(text), len(content)) + text + content)


def receive(channel: socket.socket, wait: Callable[[], None] = lambda: None) -> tuple[Message, Blob]:
    """Wait for one frame.

    Args:
        wait: called before every read; returns when there is something to read, raises to give up.

    Raises:
        BadFrame: if what comes is not one.
        EOFError: if the other side is gone.
    """
    n_json, n_blob = LENGTHS.unpack(_exactly(channel, LENGTHS.size, wait))
    if n_json > MAX_JSON or n_blob > MAX_BLOB:
        raise BadFrame(f"a frame of {n_json} and {n_blob} bytes; at most {MAX_JSON} and {MAX_BLOB} are taken")
    text, content = _exactly(channel, n_json, wait), _exactly(channel, n_blob, wait)
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"no JSON ({type(error).__name__})") from None
    if not isinstance(message, dict):
        raise BadFrame(f"JSON that is a {type(message).__name__} and not an object")
    return message, Blob(content)


def _exactly(channel: socket.socket, count: int, wait: Callable[[], None]) -> bytes:
    content = bytearray()
    while len(content) < count:
        wait()
        part = channel.recv(min(CHUNK, count - len(content)))
        if not part:
            raise EOFError
        content += part
    return bytes(content)
