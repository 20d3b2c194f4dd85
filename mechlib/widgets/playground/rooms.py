"""The rooms of the playground as widgets: the same scripts as on the page, with weights that come from Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import anywidget
import traitlets

from mechlib import zoo
from mechlib.widgets import assets
from mechlib.widgets.playground import models

ENGINE = ("playground/engine", "playground/tokenizer", "playground/language", "playground/room")
"""The scripts on which those of the rooms for text are built."""


class Room(anywidget.AnyWidget):
    """What the rooms share: the models that can run in them, and how their weights come."""

    served: ClassVar[tuple[str, ...]] = ()
    """The models that run in it on a page."""

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

    served = models.LANGUAGE

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
    ablated = traitlets.List().tag(sync=True)
    """Pairs ``[layer, head]``: the heads that hand zeros to the output matrix."""
    patches = traitlets.List().tag(sync=True)
    """Triples ``[entry, position, source]``: that entry at ``position`` is the other text's at ``source``."""
