"""Learning in context: tasks, the algorithms that a transformer is compared with, and weights that are an algorithm.

Knows no model of the book and nothing of TransformerLens: it takes tensors and callables.
"""
