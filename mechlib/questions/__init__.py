"""The bank: the questions of each chapter in ``chNN``, one module a question, and what several of them draw and say.

``mechlib.checks`` asks them. It imports a chapter by the name in a question's id when it is asked for, and no other.
"""
