"""Stands in for Colab's own package: it is there from the kernel's start, and that is how a notebook knows Colab."""

from google.colab import output

__all__ = ["output"]
