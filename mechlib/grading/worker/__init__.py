"""What runs inside the sandbox: a server that forks prepared processes, and what these do with a notebook.

Of the package ``mechlib.grading`` only this folder is visible there, and none of the questions; nothing here may
import from its neighbours.
"""
