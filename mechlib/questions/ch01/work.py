"""Question ch01.work: what writing on costs, with a cache and without."""

from __future__ import annotations

import torch

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer

__all__ = ["QUESTION"]


def work(
    n_prompt: int, n_new: int, n_layers: int, d_model: int, width: int, d_mlp: int, d_vocab: int
) -> tuple[int, int]:
    """Multiply-adds of ``n_new`` tokens after ``n_prompt``: computing every column again, and keeping them."""
    sizes = (n_layers, d_model, width, d_mlp, d_vocab)
    later = range(n_prompt + 1, n_prompt + n_new)
    cached = step(n_prompt, n_prompt, *sizes) + sum(step(1, total, *sizes) for total in later)
    return recomputed(n_prompt, n_new, *sizes), cached


def recomputed(n_prompt: int, n_new: int, *sizes: int) -> int:
    """All columns again for every new token."""
    return sum(step(total, total, *sizes) for total in range(n_prompt, n_prompt + n_new))


def step(new: int, total: int, n_layers: int, d_model: int, width: int, d_mlp: int, d_vocab: int) -> int:
    """``new`` columns that attend to ``total``, and one prediction."""
    weights = new * (4 * d_model * width + 2 * d_model * d_mlp)
    return n_layers * (weights + 2 * new * total * width) + d_model * d_vocab


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """A model with MLPs, one without, a prompt of one token, a single new token, and a model of the size of GPT-2.

    Both counts of the last are beyond what 32 bits hold.
    """
    real = {"n_layers": 12, "d_model": 768, "width": 845, "d_mlp": 3075, "d_vocab": 50257}
    return (
        _case("a model with MLPs", generator),
        _case("a model of attention only", generator, d_mlp=0),
        _case("a prompt of one token", generator, n_prompt=1, d_mlp=1),
        _case("a single new token", generator, n_new=1),
        _case(
            "a model of the size of GPT-2",
            generator,
            n_prompt=integer(generator, 50, 90),
            n_new=integer(generator, 100, 200),
            **real,
        ),
    )


def _case(description: str, generator: torch.Generator, **fixed: int) -> Case:
    n_prompt, n_new = distinct(generator, 2, 3, 40)
    d_model, width = distinct(generator, 2, 5, 60)
    drawn = {
        "n_prompt": n_prompt,
        "n_new": n_new,
        "n_layers": integer(generator, 2, 9),
        "d_model": d_model,
        "width": width,
        "d_mlp": integer(generator, 61, 200),
        "d_vocab": integer(generator, 201, 999),
    }
    return Case(description, drawn | fixed)


def _counted(step, *, extra=0):
    """An answer that adds up another ``step``, each time for ``extra`` more tokens."""

    def answer(n_prompt, n_new, *sizes):
        end = n_prompt + n_new + extra
        again = sum(step(total, total, *sizes) for total in range(n_prompt, end))
        return again, step(n_prompt, n_prompt, *sizes) + sum(step(1, t, *sizes) for t in range(n_prompt + 1, end))

    return answer


def _without_output(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    return step(new, total, n_layers, d_model, width, d_mlp, 0)


def _output_of_all(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    return step(new, total, n_layers, d_model, width, d_mlp, new * d_vocab)


def _output_of_every_layer(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    return n_layers * step(new, total, 1, d_model, width, d_mlp, d_vocab)


def _without_mlp(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    return step(new, total, n_layers, d_model, width, 0, d_vocab)


def _without_attention(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    return step(new, 0, n_layers, d_model, width, d_mlp, d_vocab)


def _square(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    return step(new, new, n_layers, d_model, width, d_mlp, d_vocab)


def _square_of_total(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    return step(new, total, n_layers, d_model, width, d_mlp, d_vocab) + 2 * n_layers * (total - new) * total * width


def _half_attention(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    return step(new, total, n_layers, d_model, width, d_mlp, d_vocab) - n_layers * new * total * width


def _unmasked_only(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    hidden = new * (new - 1) // 2
    return step(new, total, n_layers, d_model, width, d_mlp, d_vocab) - 2 * n_layers * hidden * width


def _three_matrices(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    return step(new, total, n_layers, d_model, width, d_mlp, d_vocab) - n_layers * new * d_model * width


def _one_mlp_matrix(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    return step(new, total, n_layers, d_model, width, d_mlp, d_vocab) - n_layers * new * d_model * d_mlp


def _square_matrices(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    return step(new, total, n_layers, d_model, width, d_mlp, d_vocab) + 4 * n_layers * new * d_model * (d_model - width)


def _no_width(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    return step(new, total, n_layers, d_model, d_model, d_mlp, d_vocab)


def _one_layer(new, total, n_layers, d_model, width, d_mlp, d_vocab):
    return step(new, total, 1, d_model, width, d_mlp, d_vocab)


def _operations(new, total, *sizes):
    return 2 * step(new, total, *sizes)


def first_token_twice(n_prompt, n_new, *sizes):
    total = step(n_prompt, n_prompt, *sizes) + sum(step(1, n_prompt + t, *sizes) for t in range(1, n_new + 1))
    return recomputed(n_prompt, n_new, *sizes), total


def one_later(n_prompt, n_new, *sizes):
    again = recomputed(n_prompt + 1, n_new, *sizes)
    later = range(n_prompt + 1, n_prompt + n_new + 1)
    return again, step(n_prompt, n_prompt, *sizes) + sum(step(1, total, *sizes) for total in later)


def no_prompt(n_prompt, n_new, *sizes):
    return recomputed(n_prompt, n_new, *sizes), sum(step(1, n_prompt + t, *sizes) for t in range(n_new))


def prompt_free(n_prompt, n_new, *sizes):
    again, cached = work(n_prompt, n_new, *sizes)
    return again, cached - step(n_prompt, n_prompt, *sizes)


def prompt_one_by_one(n_prompt, n_new, *sizes):
    return recomputed(n_prompt, n_new, *sizes), sum(step(1, total, *sizes) for total in range(1, n_prompt + n_new))


def not_growing(n_prompt, n_new, *sizes):
    cached = step(n_prompt, n_prompt, *sizes) + (n_new - 1) * step(1, n_prompt, *sizes)
    return recomputed(n_prompt, n_new, *sizes), cached


def not_itself(n_prompt, n_new, *sizes):
    later = range(n_prompt, n_prompt + n_new - 1)
    cached = step(n_prompt, n_prompt, *sizes) + sum(step(1, total, *sizes) for total in later)
    return recomputed(n_prompt, n_new, *sizes), cached


def one_output(n_prompt, n_new, n_layers, d_model, width, d_mlp, d_vocab):
    return tuple(
        count - (n_new - 1) * d_model * d_vocab
        for count in work(n_prompt, n_new, n_layers, d_model, width, d_mlp, d_vocab)
    )


def exchanged(*inputs):
    again, cached = work(*inputs)
    return cached, again


MISCONCEPTIONS = {
    "last_token_too": Misconception(
        _counted(step, extra=1),
        "you count one token too many: the last new token is written down and its column is never computed.",
    ),
    "first_token_twice": Misconception(
        first_token_twice,
        "the first new token is predicted by the prompt's last column, which is already there: with a cache, n_new "
        "tokens take n_new - 1 further columns.",
    ),
    "one_later": Misconception(
        one_later,
        "you compute each new token's column before it is drawn: the first is predicted from n_prompt columns, the "
        "last from n_prompt + n_new - 1.",
    ),
    "no_prompt": Misconception(
        no_prompt,
        "the prompt's columns have to be computed once, with a cache as well; you count one column for each token.",
    ),
    "prompt_free": Misconception(
        prompt_free,
        "with a cache you leave out the first step: the prompt's columns are computed there, and the first new token "
        "is predicted.",
    ),
    "prompt_one_by_one": Misconception(
        prompt_one_by_one,
        "with a cache you compute the prompt's columns one by one, each with a prediction; the first step computes "
        "them together, and predicts once.",
    ),
    "not_growing": Misconception(
        not_growing, "with a cache the total stays at n_prompt; it grows by one with every column that is added."
    ),
    "not_itself": Misconception(
        not_itself, "with a cache your totals are one too small: a new column attends to itself too."
    ),
    "without_output": Misconception(
        _counted(_without_output), "each prediction costs d_model * d_vocab for the unembedding; it is missing."
    ),
    "one_output": Misconception(
        one_output, "you unembed once in all; every new token is a prediction of its own, and needs one."
    ),
    "output_of_all": Misconception(
        _counted(_output_of_all),
        "you unembed every column that is computed; only the last one is asked for a prediction.",
    ),
    "output_of_every_layer": Misconception(
        _counted(_output_of_every_layer), "you unembed in every layer; the model does so once, at the end."
    ),
    "without_mlp": Misconception(_counted(_without_mlp), "the MLPs' two matrices are missing."),
    "one_mlp_matrix": Misconception(
        _counted(_one_mlp_matrix), "an MLP has two matrices, into its width and back; you count one."
    ),
    "without_attention": Misconception(
        _counted(_without_attention),
        "the columns' meeting is missing: every new column is compared with all columns and mixes their values.",
    ),
    "half_attention": Misconception(
        _counted(_half_attention),
        "attention has two products between columns, scores and the mixing of values; you count one.",
    ),
    "square": Misconception(
        _counted(_square),
        "a new column attends to the kept columns too, so it costs 2 * total * width and not 2 * new * width.",
    ),
    "square_of_total": Misconception(
        _counted(_square_of_total),
        "you compare all columns with all at every step; only the new ones ask, so it costs 2 * new * total * width.",
    ),
    "unmasked_only": Misconception(
        _counted(_unmasked_only),
        "you leave out the masked scores. That would be possible, but the products asked for compute them and throw "
        "them away.",
    ),
    "three_matrices": Misconception(
        _counted(_three_matrices), "attention has four matrices: query, key, value and output; you count three."
    ),
    "square_matrices": Misconception(
        _counted(_square_matrices), "the matrices of attention are d_model by width, not d_model by d_model."
    ),
    "no_width": Misconception(
        _counted(_no_width), "you use d_model for width; all heads together may be wider or narrower than the stream."
    ),
    "one_layer": Misconception(_counted(_one_layer), "this is the work of one layer; there are n_layers of them."),
    "operations": Misconception(
        _counted(_operations), "you count a multiplication and its addition as two; a multiply-add is one."
    ),
    "exchanged": Misconception(exchanged, "the two are exchanged: first without a cache, then with one."),
}

QUESTION = Question(
    id="ch01.work",
    points=1,
    title="Count the work",
    hints=(
        "How many columns are new at each step, and to how many does each attend?",
        "Write a function of new and total for one step, the matrices, the two products between columns and one "
        "unembedding; then add up the steps. Without a cache new equals total at every step.",
        "One step takes n_layers * (new * (4 * d_model * width + 2 * d_model * d_mlp) + 2 * new * total * width) + "
        "d_model * d_vocab. Totals run from n_prompt to n_prompt + n_new - 1; with a cache new is n_prompt at first, "
        "then 1.",
    ),
    reference=work,
    cases=cases,
    axes={},
    fields=(Field("recomputed", atol=0, rtol=0), Field("cached", atol=0, rtol=0)),
    misconceptions=MISCONCEPTIONS,
)
