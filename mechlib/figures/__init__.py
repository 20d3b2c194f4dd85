"""Figures of the book: one house style, a few kinds, each shown with a caption and an alternative text."""
