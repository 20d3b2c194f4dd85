"""Ways to make an estimate small without a change of the function."""

import torch


def rescaled(first, first_bias, second, second_bias, scale):
    return scale[:, None] * first, scale * first_bias, second / scale, second_bias


def balanced(first, first_bias, second, second_bias, x):
    """As much comes in as goes out, for every unit."""
    incoming = torch.cat([first, first_bias[:, None]], 1).norm(dim=1)
    return rescaled(first, first_bias, second, second_bias, (second.norm(dim=0) / incoming).sqrt())


def least_trace(first, first_bias, second, second_bias, x):
    """The least sum of squared slopes of the logits, unit by unit, on the inputs."""
    hidden = (x @ first.T + first_bias).relu()
    inner = second.square().sum(0) * ((hidden > 0) * (1 + x.square().sum(1, keepdim=True))).mean(0)
    outer = len(second) * hidden.square().mean(0)
    scale = (inner.clamp(min=1e-9) / outer.clamp(min=1e-9)) ** 0.25
    return rescaled(first, first_bias, second, second_bias, scale)


def least_squares(first, first_bias, second, second_bias, x):
    """The least sum of squared weights, by steps on the logarithms of the scales."""
    log = torch.zeros(len(first))
    into = first.square().sum(1) + first_bias.square()
    out = second.square().sum(0)
    for _ in range(300):
        slope = (2 * log).exp() * into - (-2 * log).exp() * out
        steep = (2 * log).exp() * into + (-2 * log).exp() * out
        log = log - (slope / steep / 2).clamp(-0.5, 0.5)
    return rescaled(first, first_bias, second, second_bias, log.exp())


WAYS = {"balanced lengths": balanced, "least trace": least_trace, "least squares": least_squares}
