"""Answers to chapter 08 that its questions have never seen."""


def gap(measured, control, *, center=lambda d: d.mean(), n=len, width=1.96):
    d = measured - control
    return center(d), center(d) - width * d.std() / n(d) ** 0.5


GAP_WRONG = {
    "median": lambda m, c: gap(m, c, center=lambda d: d.sort().values[len(d) // 2]),
    "half a unit less": lambda m, c: gap(m, c, n=lambda d: len(d) - 0.5),
    "gap alone": lambda m, c: gap(m, c)[0],
    "relative": lambda m, c: gap(m / c, c / c),
    "one standard error": lambda m, c: gap(m, c, width=1.0),
}
GAP_RIGHT = {
    "a list": lambda m, c: [float(value) for value in gap(m, c)],
    "double": lambda m, c: gap(m.double(), c.double()),
}

WRONG = {"ch08.gap": GAP_WRONG}
RIGHT = {"ch08.gap": GAP_RIGHT}
