"""Right answers to ch08.direct, written differently."""

import numpy as np
import torch


def folded(head, instead, stream, gain, eps, right, wrong):
    """The gain folded into what reads."""
    scale = torch.rsqrt(stream.pow(2).mean(-1) + eps)
    return torch.einsum("rd,rd,d->r", head - instead, right - wrong, gain) * scale


def token_by_token(head, instead, stream, gain, eps, right, wrong):
    def logit(vector, token):
        return np.array([(v * t * gain.numpy()).sum() for v, t in zip(vector.numpy(), token.numpy(), strict=True)])

    lost = head - instead
    divisor = np.sqrt((stream.numpy() ** 2).mean(1) + eps)
    return (logit(lost, right) - logit(lost, wrong)) / divisor


def slope(head, instead, stream, gain, eps, right, wrong):
    """The normed stream less the same with the head cut, both divided by the size before."""
    size = torch.linalg.vector_norm(stream, dim=-1, keepdim=True) / stream.shape[-1] ** 0.5
    size = (size**2 + eps) ** 0.5
    left = stream - head + instead
    return ((stream / size * gain - left / size * gain) * (right - wrong)).sum(1).tolist()


ALTERNATIVES = {"the gain folded": folded, "token by token": token_by_token, "two streams": slope}
