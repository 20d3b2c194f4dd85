"""Ways to bring softmax heads near a gradient step."""


def mirrored(d, n, rate, beta=0.05, sink=1e4):
    """Two heads with opposite scores, whose queries attend to themselves."""
    factor = rate * sink / (2 * n * beta)
    return [(beta, sink, factor), (-beta, sink, -factor)]


def above_a_constant(d, n, rate, beta=0.01, sink=1e4):
    """A head of small scores less one without scores; again with the opposite scores, so that squares cancel."""
    factor = rate * sink / (2 * n * beta)
    return [(beta, sink, factor), (0, sink, -factor), (-beta, sink, -factor), (0, sink, factor)]


def wider(d, n, rate, beta=0.03, sink=3e4):
    """Two pairs, of scales 1 and 2, whose cubes cancel."""
    one, two = 4 / 3, -1 / 6
    unit = rate * sink / (2 * n * beta)
    return [(s * k * beta, sink, s * share * unit) for k, share in ((1, one), (2, two)) for s in (1, -1)]


WAYS = {"mirrored": mirrored, "above a constant": above_a_constant, "wider": wider}
