"""A course with the book's exercises: what students and instructors are given, and what becomes of their grades.

``release`` makes the notebooks, ``reports`` the feedback and the tables of a graded class, ``gradescope`` and
``nbgrader`` what those two systems take in, ``similarity`` the code that a plagiarism detector compares.
"""
