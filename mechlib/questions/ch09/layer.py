"""Question ch09.layer: linear self-attention whose last token is a query and no key."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.icl.construction import LinearAttentionWeights, gd_weights
from mechlib.questions.drawing import distinct, integer, normal

__all__ = ["QUESTION"]

Tokens = Float[Tensor, "batch token d_token"]


def layer(tokens: Tokens, W_Q: Tensor, W_K: Tensor, W_V: Tensor, W_O: Tensor) -> Tokens:
    """All tokens after one layer."""
    return LinearAttentionWeights(W_Q, W_K, W_V, W_O)(tokens)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Random weights, one example and many, a single prompt, widths of one, large tokens, and the construction."""
    d_token, n_tokens = distinct(generator, 2, 5, 9)
    step = gd_weights(d_token - 1, n_tokens - 1, 0.7, dtype=torch.float32)
    tokens = normal(generator, 3, n_tokens, d_token)
    tokens[:, -1, -1] = 0
    return (
        _case("random weights", generator),
        _case("a single example", generator, n_tokens=2),
        _case("many examples", generator, n_tokens=integer(generator, 40, 60)),
        _case("a single prompt", generator, batch=1),
        _case("tokens of width one", generator, d_token=1),
        _case("keys of width one", generator, d_key=1),
        _case("values of width one", generator, d_value=1),
        _case("large tokens", generator, scale=30.0),
        Case(
            "the weights of a gradient step",
            {
                "tokens": tokens,
                "W_Q": torch.cat([step.W_Q, torch.zeros(d_token, 5)], 1),
                "W_K": torch.cat([step.W_K, torch.zeros(d_token, 5)], 1),
                "W_V": torch.cat([step.W_V, torch.zeros(d_token, 7)], 1),
                "W_O": torch.cat([step.W_O, torch.zeros(7, d_token)], 0),
            },
        ),
    )


def _case(description: str, generator: torch.Generator, *, scale: float = 1.0, **fixed: int) -> Case:
    names = ("batch", "d_token", "d_key", "d_value", "n_tokens")
    sizes = dict(zip(names, distinct(generator, 5, 3, 9), strict=True)) | fixed
    batch, d_token, d_key, d_value, n_tokens = sizes.values()
    inputs = {
        "tokens": scale * normal(generator, batch, n_tokens, d_token),
        "W_Q": normal(generator, d_token, d_key, scale=0.4),
        "W_K": normal(generator, d_token, d_key, scale=0.4),
        "W_V": normal(generator, d_token, d_value, scale=0.4),
        "W_O": normal(generator, d_value, d_token, scale=0.4),
    }
    return Case(description, {name: value.double() for name, value in inputs.items()})


def _added(tokens, scores, context, W_V, W_O):
    return tokens + scores @ (context @ W_V) @ W_O


def _scores(tokens, context, W_Q, W_K):
    return (tokens @ W_Q) @ (context @ W_K).mT


def first_left_out(tokens, W_Q, W_K, W_V, W_O):
    context = tokens[:, 1:]
    return _added(tokens, _scores(tokens, context, W_Q, W_K), context, W_V, W_O)


def softmax(tokens, W_Q, W_K, W_V, W_O):
    context = tokens[:, :-1]
    return _added(tokens, _scores(tokens, context, W_Q, W_K).softmax(-1), context, W_V, W_O)


def standard(tokens, W_Q, W_K, W_V, W_O):
    context = tokens[:, :-1]
    scores = _scores(tokens, context, W_Q, W_K) / W_Q.shape[1] ** 0.5
    return _added(tokens, scores.softmax(-1), context, W_V, W_O)


def divided_by_root(tokens, W_Q, W_K, W_V, W_O):
    context = tokens[:, :-1]
    return _added(tokens, _scores(tokens, context, W_Q, W_K) / W_Q.shape[1] ** 0.5, context, W_V, W_O)


def averaged(tokens, W_Q, W_K, W_V, W_O):
    context = tokens[:, :-1]
    scores = _scores(tokens, context, W_Q, W_K) / context.shape[1]
    return _added(tokens, scores, context, W_V, W_O)


def causal(tokens, W_Q, W_K, W_V, W_O):
    context = tokens[:, :-1]
    return _added(tokens, _scores(tokens, context, W_Q, W_K).tril(), context, W_V, W_O)


def strictly_causal(tokens, W_Q, W_K, W_V, W_O):
    context = tokens[:, :-1]
    return _added(tokens, _scores(tokens, context, W_Q, W_K).tril(-1), context, W_V, W_O)


def exchanged(tokens, W_Q, W_K, W_V, W_O):
    context = tokens[:, :-1]
    return _added(tokens, _scores(tokens, context, W_K, W_Q), context, W_V, W_O)


def only_query_moves(tokens, W_Q, W_K, W_V, W_O):
    return torch.cat([tokens[:, :-1], layer(tokens, W_Q, W_K, W_V, W_O)[:, -1:]], 1)


MISCONCEPTIONS = {
    "query_is_key": Misconception(
        lambda tokens, W_Q, W_K, W_V, W_O: _added(tokens, _scores(tokens, tokens, W_Q, W_K), tokens, W_V, W_O),
        "the query attends to itself; it is nobody's key, so leave the last token out of the context.",
    ),
    "first_left_out": Misconception(
        first_left_out, "you leave the first token out of the context; the query is the last one."
    ),
    "softmax": Misconception(softmax, "your scores go through a softmax; linear attention takes them as they are."),
    "standard": Misconception(
        standard, "this is softmax attention; linear attention takes the scores as they are, without root or softmax."
    ),
    "divided_by_root": Misconception(
        divided_by_root, "you divide the scores by the root of the key's width; this layer does not scale them."
    ),
    "averaged": Misconception(averaged, "you average over the examples; the layer adds them up."),
    "causal": Misconception(causal, "you mask later tokens; here every token sees all examples."),
    "strictly_causal": Misconception(
        strictly_causal, "tokens see only those before them; here every token sees all examples, before it or not."
    ),
    "exchanged": Misconception(exchanged, "query and key are exchanged: the token goes through W_Q, examples W_K."),
    "no_residual": Misconception(
        lambda tokens, W_Q, W_K, W_V, W_O: layer(tokens, W_Q, W_K, W_V, W_O) - tokens,
        "the token itself is missing: the layer adds to it.",
    ),
    "subtracted": Misconception(
        lambda tokens, W_Q, W_K, W_V, W_O: 2 * tokens - layer(tokens, W_Q, W_K, W_V, W_O),
        "you subtract what attention finds; the sign belongs to the weights.",
    ),
    "query_alone": Misconception(
        lambda tokens, W_Q, W_K, W_V, W_O: layer(tokens, W_Q, W_K, W_V, W_O)[:, -1],
        "you return the query alone; the next layer needs all tokens.",
    ),
    "only_query_moves": Misconception(
        only_query_moves,
        "only the query moves; the examples have to become residuals too, or the next layer repeats the step.",
    ),
}

QUESTION = Question(
    id="ch09.layer",
    points=1,
    title="A layer of linear attention",
    hints=(
        "Which tokens may be read, and by whom? The query reads and is not read.",
        "Scores [batch, token, example] are products of queries of all tokens with keys of all but the last.",
        "context = tokens[:, :-1]; tokens + (tokens @ W_Q) @ (context @ W_K).mT @ (context @ W_V) @ W_O",
    ),
    reference=layer,
    cases=cases,
    axes={
        "tokens": "batch token d_token",
        "W_Q": "d_token d_key",
        "W_K": "d_token d_key",
        "W_V": "d_token d_value",
        "W_O": "d_value d_token",
    },
    fields=(Field("tokens", "batch token d_token"),),
    misconceptions=MISCONCEPTIONS,
)
