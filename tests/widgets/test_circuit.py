"""The circuit explorer holds one number for every set of cut paths, and refuses pictures that do not hang together."""

import json

import pytest

from mechlib.widgets import Path, Place, circuit_explorer

TOKENS = ["a", "b"]
PLACES = {"first": Place(0, 1, "0.0"), "second": Place(1, 1, "0.1"), "out": Place(1, 2, "logits")}
PATHS = [Path("first", "out", "the name"), Path("second", "out", "its place")]
VALUES = {"mean": {"right": [0.9, 0.5, 0.4, 0.1]}, "zero": {"right": [0.9, 0.3, 0.2, 0.0]}}


def made(tokens=TOKENS, places=PLACES, paths=PATHS, values=VALUES, **options):
    return circuit_explorer(tokens, places, paths, values, **options)


def test_everything_is_in_the_synchronised_state():
    widget = made(percent=["right"], rest="The rest is open.")
    state = json.loads(json.dumps(widget.get_state(["data", "cut", "path", "way"])))
    assert (state["cut"], state["path"], state["way"]) == (0, -1, 0)
    assert (state["data"]["ways"], state["data"]["measures"]) == (list(VALUES), list(VALUES["zero"]))
    assert state["data"]["values"]["zero"]["right"] == [0.9, 0.3, 0.2, 0.0]
    assert state["data"]["places"]["out"] == {"column": 1, "level": 2, "name": "logits"}
    assert state["data"]["paths"][1] == {"start": "second", "end": "out", "about": "its place"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"paths": []}, "1 to 9 paths, got 0"),
        ({"paths": [Path("first", "nowhere", "")]}, "not from 'first' to 'nowhere'"),
        ({"tokens": ["a"]}, "'second' stands in column 1, and there are 1 tokens"),
        ({"values": {}}, "the same measures"),
        ({"values": {"mean": {"right": [0] * 4}, "zero": {"wrong": [0] * 4}}}, "the same measures"),
        ({"values": {"mean": {"right": [0] * 3}}}, r"'right' of 'mean' needs 4 numbers.*\(3,\)"),
        ({"values": {"mean": {"right": [0, 1, 2, float("nan")]}}}, "not finite"),
    ],
)
def test_a_picture_that_does_not_hang_together_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        made(**options)
