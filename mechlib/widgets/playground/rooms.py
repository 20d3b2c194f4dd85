"""The rooms of the playground as widgets: the same scripts as on the page, with weights that come from Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anywidget
import traitlets

from mechlib import zoo
from mechlib.widgets import assets
from mechlib.widgets.playground import models
from mechlib.widgets.playground.passages import passages

ENGINE = ("playground/engine", "playground/tokenizer", "playground/language", "playground/room")
"""The scripts on which those of the rooms are built."""


class Room(anywidget.AnyWidget):
    """What the rooms share: the models that can run in them, and how their weights come."""

    models = traitlets.Dict().tag(sync=True)
    """For every name what ``models.described`` says of it."""
    base = traitlets.Unicode("").tag(sync=True)
    """The address of the folder with the weights, on a page without Python; empty where Python sends them."""
    weights = traitlets.Dict().tag(sync=True)
    """The files of weights that were sent, as bytes by name."""
    wanted = traitlets.Unicode("").tag(sync=True)
    """The model whose weights the room asks for; they are sent as soon as it is set.

    Raises:
        ValueError: for a name that is not among ``models``.
    """

    def __init__(self, names: Sequence[str] = (), **traits: Any) -> None:
        """
        Args:
            names: of the models; the weights of the first are sent at once.
            traits: values at the start.

        Raises:
            ValueError: as ``models.described`` and ``models.weights``.
        """
        sent = {name: models.weights(name) for name in names[:1]}
        super().__init__(models={name: models.described(name) for name in names}, weights=sent, **traits)

    @traitlets.validate("wanted")
    def _known(self, proposal: dict[str, Any]) -> str:
        if (name := proposal["value"]) and name not in self.models:
            raise ValueError(f"the room has the models {', '.join(self.models)}, not {name!r}")
        return name

    @traitlets.observe("wanted")
    def _deliver(self, change: dict[str, Any]) -> None:
        if (name := change["new"]) and name not in self.weights:
            self.weights = {**self.weights, name: models.weights(name)}


class TextRoom(Room):
    """A room in which language models read."""

    tokenizer = traitlets.Dict().tag(sync=True)
    """The tokeniser's table, as ``models.tokenizer`` makes it."""
    name = traitlets.Unicode(models.LANGUAGE[0]).tag(sync=True)
    """The model that runs."""

    def __init__(self, names: Sequence[str] = models.LANGUAGE, **traits: Any) -> None:
        """
        Args:
            names: language models of the zoo; the first is shown at first.
            traits: values at the start.

        Raises:
            ValueError: if there is no name, or one of another model; otherwise as ``Room``.
        """
        if not names or (others := set(names) - set(zoo.names("language"))):
            raise ValueError(f"the room takes language models of the zoo, got {sorted(others) if names else 'none'}")
        super().__init__(names, tokenizer=models.tokenizer(), name=names[0], **traits)


class TextExplorer(TextRoom):
    """A text of one's own seen from inside: attention, lens and direct shares, with heads out or entries put in."""

    _esm = assets.script(*ENGINE, "pattern", "playground/parts", "playground/explorer")
    _css = assets.style("playground/room", "pattern", "playground/explorer")

    text = traitlets.Unicode("zebra_height = 12\nprint(zebra_").tag(sync=True)
    """What is read; its first 64 tokens, BOS included."""
    other = traitlets.Unicode("zebra_width = 12\nprint(zebra_").tag(sync=True)
    """The text from which entries are taken."""
    layer = traitlets.Int(1).tag(sync=True)
    """Layer of the selected head."""
    head = traitlets.Int(1).tag(sync=True)
    """The selected head within its layer."""
    position = traitlets.Int(64).tag(sync=True)
    """The selected token; the last one where there are fewer."""
    entry = traitlets.Int(1).tag(sync=True)
    """The selected entry of the residual stream, the embedding being 0."""
    source = traitlets.Int(5).tag(sync=True)
    """The selected token of the other text."""
    ablated = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    """Pairs ``[layer, head]``: the heads that hand zeros to the output matrix."""
    patches = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    """Triples ``[entry, position, source]``: that entry at ``position`` is the other text's at ``source``."""


class TokenGame(TextRoom):
    """The next-token game: reader and model guess the tokens of a passage one by one, and both have a score."""

    _esm = assets.script(*ENGINE, "playground/game")
    _css = assets.style("playground/room", "playground/game")

    passages = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """What there is to guess: passages on which the models were not trained."""
    text = traitlets.Unicode("").tag(sync=True)
    """The passage that is played."""

    def __init__(self, names: Sequence[str] = models.LANGUAGE, **traits: Any) -> None:
        """Arguments and errors are those of ``TextRoom``; ``text`` is the first passage when left out."""
        there = list(passages())
        super().__init__(names, **{"passages": there, "text": there[0]} | traits)


class Loom(TextRoom):
    """A tree of continuations of a text, grown by clicks."""

    _esm = assets.script(*ENGINE, "playground/loom")
    _css = assets.style("playground/room", "playground/loom")

    text = traitlets.Unicode("def read_lines(path):\n    with open(path").tag(sync=True)
    """The beginning."""
    length = traitlets.Int(4).tag(sync=True)
    """How many tokens a branch has."""
    temperature = traitlets.Float(0.7).tag(sync=True)
    """Tokens are drawn in proportion to their probability to the power of 1 / temperature."""
    seed = traitlets.Int(0).tag(sync=True)
    """Of the draws: the same beginning, settings and clicks give the same tree."""


class RegressionRoom(Room):
    """Points to drag, and what a transformer predicts from them, beside ridge and one step of gradient descent."""

    _esm = assets.script(*ENGINE, "playground/regressor", "playground/regression")
    _css = assets.style("playground/room", "playground/regression")

    points = traitlets.List([[-1.5, -1.0], [-0.5, -0.6], [1.0, 0.9], [2.0, 1.3]]).tag(sync=True)
    """The examples, pairs ``[x, y]`` from -3 to 3 in their order in the prompt: 10 at most."""
    penalty = traitlets.Float(0.1).tag(sync=True)
    """Of ridge, as ``lam`` of ``icl.ridge``."""
    rate = traitlets.Float(1.0).tag(sync=True)
    """Of the one step, as ``eta`` of ``icl.gradient_descent``."""

    def __init__(self, **traits: Any) -> None:
        """
        Args:
            traits: values at the start.
        """
        super().__init__([models.REGRESSION], **traits)
