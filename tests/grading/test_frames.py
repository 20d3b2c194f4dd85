"""Frames: what is sent arrives, and what is no frame is refused within its limits."""

import json
import math
import socket
import struct

import pytest
import torch

from mechlib.checks.question import Model
from mechlib.grading.worker import frames
from mechlib.grading.worker.frames import BadFrame, Blob, decode, encode, receive, send


@pytest.fixture
def pair():
    here, there = socket.socketpair()
    with here, there:
        yield here, there


@pytest.mark.parametrize(
    "value",
    [
        3,
        -0.5,
        True,
        "text",
        [1, [2.5, "x"]],
        Model("code-1l"),
        torch.arange(6).reshape(2, 3),
        torch.zeros(2, 0, 3),
        torch.tensor(1.5, dtype=torch.float64),
        torch.tensor([True, False]),
        torch.linspace(-1, 1, 12).view(3, 4).half().T,
    ],
    ids=str,
)
def test_an_input_arrives_as_it_was(value, pair):
    blob = Blob()
    before = torch.ones(2)
    send(pair[0], {"values": [encode(before, blob), encode(value, blob)]}, blob)
    message, received = receive(pair[1])
    first, second = (decode(each, received) for each in message["values"])
    assert torch.equal(first, before)
    if isinstance(value, torch.Tensor):
        assert second.dtype == value.dtype and torch.equal(second, value)
    else:
        assert second == value and type(second) is type(value)


def test_numbers_that_json_does_not_know_arrive(pair):
    send(pair[0], {"values": [math.inf, -math.inf, math.nan]})
    (a, b, c) = receive(pair[1])[0]["values"]
    assert (a, b) == (math.inf, -math.inf) and math.isnan(c)


def test_what_cannot_travel_is_named():
    with pytest.raises(TypeError, match="a list or a model, not function"):
        encode(lambda: 0, Blob())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (struct.pack("!II", 2**31, 0), "at most"),
        (struct.pack("!II", 2, frames.MAX_BLOB + 1) + b"{}", "at most"),
        (struct.pack("!II", 3, 0) + b"\x80\x04N", "no JSON"),
        (struct.pack("!II", 2, 0) + b"[]", "a list and not an object"),
        (struct.pack("!II", 10**5, 0) + b"[" * 10**5, "no JSON"),
        (struct.pack("!II", 5005, 0) + b'{"a":' + b"9" * 5000, "no JSON"),
    ],
)
def test_what_is_no_frame_is_refused(content, complaint, pair):
    pair[0].sendall(content)
    with pytest.raises(BadFrame, match=complaint):
        receive(pair[1])


def test_a_frame_that_breaks_off_is_the_end(pair):
    pair[0].sendall(struct.pack("!II", 100, 0) + json.dumps({}).encode())
    pair[0].close()
    with pytest.raises(EOFError):
        receive(pair[1])


def test_a_frame_that_would_be_refused_is_not_sent(pair):
    with pytest.raises(BadFrame, match="at most"):
        send(pair[0], {"text": "x" * (frames.MAX_JSON + 1)})


def test_waiting_can_be_given_up(pair):
    def give_up():
        raise TimeoutError

    with pytest.raises(TimeoutError):
        receive(pair[1], give_up)
