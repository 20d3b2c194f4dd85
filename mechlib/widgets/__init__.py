"""What the reader can move: widgets that hold all their data, so that a static page needs no kernel."""

from mechlib.widgets.attention import AttentionExplorer, attention_explorer
from mechlib.widgets.chain import ChainExplorer, chain_explorer
from mechlib.widgets.circuit import CircuitExplorer, Path, Place, circuit_explorer
from mechlib.widgets.lens import LensExplorer, lens_explorer
from mechlib.widgets.repair import RepairExplorer, repair_explorer
from mechlib.widgets.training import TrainingExplorer, training_explorer

__all__ = [
    "AttentionExplorer",
    "ChainExplorer",
    "CircuitExplorer",
    "LensExplorer",
    "Path",
    "Place",
    "RepairExplorer",
    "TrainingExplorer",
    "attention_explorer",
    "chain_explorer",
    "circuit_explorer",
    "lens_explorer",
    "repair_explorer",
    "training_explorer",
]
