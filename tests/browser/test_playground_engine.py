"""The models in the browser against mechlib in Python: tokens, probabilities, lenses, shares, edits, regression."""

import random

import pytest
import torch

from mechlib import icl, text, zoo
from mechlib.causal import ablate, run_with_edit
from mechlib.stream import direct_logit_attribution, layer_log_probs, residual_entries
from mechlib.widgets.attention import attention_patterns
from mechlib.widgets.playground import models

TEXTS = (
    "zebra_height = 12\nprint(zebra_",
    "def total(prices):\n    widget_depth = 3\n    for price in prices:\n        widget_depth += price\n    return",
    "The quick brown fox jumps over the lazy dog. The quick brown",
    "naïve café 東京 🙂🏽, 3.14159e-10 != ∞\t\r\n",
    "",
)
OTHER = "zebra_width = 12\nprint(zebra_"
ODD = (
    "",
    " ",
    "\n",
    "  \t  a  b\u00a0c\u2003d  ",
    "don't I'LL we've 's 'S can''t",
    "a\x85b \x1cq \x1f\x0b\x0c\u180e\u2028\u2029\u202f\u3000\ufeffz",
    "<|endoftext|>x<|endoftext|><|endof",
    "123abc٣٤ Ⅷ½ x²",
    "\r\n\r\n x\r  \r",
    "e\u0301 ǅ ß ﬁ \u200b\u200d",
    "🙂🏽👩\u200d👩\u200d👧 \ud7ff\U0010ffff",
    " !?#  ##\t\t#___init__ __",
    "x" * 60 + " " * 33,
    "# -*- coding: utf-8 -*-\nif __name__ == '__main__':\n    raise SystemExit(main())\n",
)
WITHIN = 1e-3
"""What the page promises of probabilities."""


def scrambled(n: int) -> list[str]:
    """Texts of characters that tokenisers stumble over, in random order."""
    draw = random.Random(0)
    signs = [*" \n\t\r'’_-.#(){}=0Aaz", "é", "ß", "東", "🙂", "\u00a0", "\u2003", "\u0301", "'s", "'ll", "  ", "self"]
    return ["".join(draw.choices(signs, k=draw.randint(1, 40))) for _ in range(n)]


def test_the_tokeniser_is_that_of_the_zoo(engine):
    texts = [*ODD, *TEXTS, *scrambled(500), *(document.text[:3000] for document in text.files("held_out")[:20])]
    ids = engine.run("return texts.map((each) => engine.encode(tokenizer, each));", texts=texts)
    assert ids == [text.encode(each, bos=False).tolist() for each in texts]
    back = engine.run("return ids.map((each) => engine.decode(tokenizer, each));", ids=ids)
    assert back == [text.decode(each) for each in ids]


def test_every_token_is_shown_as_in_the_book(engine):
    shown = engine.run("return tokenizer.bytes.map((_, id) => engine.tokenText(tokenizer, id));")
    assert shown == text.token_strings(list(range(2048)))


@pytest.fixture(scope="module", params=models.LANGUAGE)
def model(request):
    """The name of a language model, and the model."""
    return request.param, zoo.load(request.param, device="cpu")


PROBABILITIES = "run.tokens.map((_, position) => engine.probabilitiesAt(run, position))"


@torch.no_grad()
def test_probabilities_are_those_of_mechlib(engine, model):
    name, ours = model
    for written in TEXTS:
        tokens = text.encode(written)
        shown = engine.run(
            f"const run = engine.readTokens(await loaded(name), tokens); return {PROBABILITIES};",
            name=name,
            tokens=tokens.tolist(),
        )
        expected = ours(tokens[None])[0].softmax(-1)
        assert expected.amax() > 0.02
        assert (torch.tensor(shown) - expected).abs().max() < WITHIN


@torch.no_grad()
def test_the_whole_context_can_be_read(engine, model):
    name, ours = model
    tokens = text.encode(text.files("held_out")[3].text)[: ours.cfg.n_ctx]
    body = "const run = engine.readTokens(await loaded(name), tokens); return engine.probabilitiesAt(run, 255);"
    shown = engine.run(body, name=name, tokens=tokens.tolist())
    assert (torch.tensor(shown) - ours(tokens[None])[0, -1].softmax(-1)).abs().max() < WITHIN


def test_the_lens_reads_every_entry_as_mechlib_does(engine, model):
    name, ours = model
    tokens = text.encode(TEXTS[1])
    shown = engine.run(
        """const run = engine.readTokens(await loaded(name), tokens);
        return run.entries.map((_, entry) => engine.probabilitiesAt(run, 11, entry));""",
        name=name,
        tokens=tokens.tolist(),
    )
    expected = layer_log_probs(ours, tokens)[:, 0, 11].exp()
    assert (torch.tensor(shown) - expected).abs().max() < WITHIN


def test_attention_is_that_of_mechlib(engine, model):
    name, ours = model
    tokens = text.encode(TEXTS[0])
    shown = engine.run(
        "return engine.readTokens(await loaded(name), tokens).patterns;", name=name, tokens=tokens.tolist()
    )
    expected = attention_patterns(ours, tokens)
    for layer, heads in enumerate(shown):
        for head, rows in enumerate(heads):
            for query, row in enumerate(rows):
                assert row == pytest.approx(expected[layer, head, query, : query + 1].tolist(), abs=1e-4)


def test_shares_are_those_of_direct_logit_attribution(engine, model):
    name, ours = model
    tokens = text.encode(TEXTS[0])
    target = text.encode("he", bos=False).item()
    shown = engine.run(
        """const run = engine.readTokens(await loaded(name), tokens);
        return engine.attribution(run, tokens.length - 1, target);""",
        name=name,
        tokens=tokens.tolist(),
        target=target,
    )
    found = direct_logit_attribution(ours, tokens, target, measure="log_prob")
    expected = dict.fromkeys((part["name"] for part in shown), 0.0)
    for label in set(found.labels) - {"normaliser"}:
        expected[label.replace("MLP bias", "MLP")] += found[label].item()
    assert {part["name"]: part["share"] for part in shown} == pytest.approx(expected, abs=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("heads", [[(1, 1)], [(0, 0), (0, 3), (1, 2)]])
def test_a_head_that_is_taken_out_hands_on_zeros(engine, model, heads):
    name, ours = model
    tokens = text.encode(TEXTS[0])
    ablated = [[head for layer, head in heads if layer == each] for each in range(ours.cfg.n_layers)]
    shown = engine.run(
        f"const run = engine.readTokens(await loaded(name), tokens, {{ ablated }}); return {PROBABILITIES};",
        name=name,
        tokens=tokens.tolist(),
        ablated=ablated,
    )
    with ablate(ours, heads, mode="zero"):
        expected = ours(tokens[None])[0].softmax(-1)
    assert (expected - ours(tokens[None])[0].softmax(-1)).abs().max() > 10 * WITHIN
    assert (torch.tensor(shown) - expected).abs().max() < WITHIN


@torch.no_grad()
@pytest.mark.parametrize(("entry", "position", "source"), [(0, 5, 5), (1, 5, 5), (2, 15, 14)])
def test_an_entry_can_be_put_in_from_another_text(engine, model, entry, position, source):
    name, ours = model
    tokens, others = text.encode(TEXTS[0]), text.encode(OTHER)
    shown = engine.run(
        f"""const model = await loaded(name);
        const width = model.shape.d_model;
        const {{ entries }} = engine.readTokens(model, others);
        const patches = [{{ entry, position, row: entries[entry].slice(source * width, (source + 1) * width) }}];
        const run = engine.readTokens(model, tokens, {{ patches }}); return {PROBABILITIES};""",
        name=name,
        tokens=tokens.tolist(),
        others=others.tolist(),
        entry=entry,
        position=position,
        source=source,
    )
    row = residual_entries(ours, others[None])[entry, 0, source]

    def put(stream):
        stream = stream.clone()
        stream[:, position] = row
        return stream

    expected = run_with_edit(ours, tokens[None], entry, put)[0].softmax(-1)
    assert (expected - ours(tokens[None])[0].softmax(-1)).abs().max() > 10 * WITHIN
    assert (torch.tensor(shown) - expected).abs().max() < WITHIN


@torch.no_grad()
def test_a_text_can_be_continued_without_reading_it_again(engine, model):
    name, ours = model
    tokens = text.encode(TEXTS[2])
    shown = engine.run(
        """const model = await loaded(name);
        const { present } = engine.readTokens(model, tokens.slice(0, 7));
        const run = engine.readTokens(model, tokens.slice(7), { past: present });
        return engine.probabilitiesAt(run, tokens.length - 8);""",
        name=name,
        tokens=tokens.tolist(),
    )
    assert (torch.tensor(shown) - ours(tokens[None])[0, -1].softmax(-1)).abs().max() < WITHIN


def test_the_divergence_is_that_of_kullback_and_leibler(engine):
    p, q = torch.randn(2, 300, generator=torch.Generator().manual_seed(0)).softmax(-1)
    shown = engine.run("return engine.divergence(p, q);", p=p.tolist(), q=q.tolist())
    assert shown == pytest.approx(torch.nn.functional.kl_div(q.log(), p, reduction="sum").item(), rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("examples", [0, 1, 6, 10])
def test_regression_is_that_of_mechlib(engine, examples):
    model = zoo.load(models.REGRESSION, device="cpu")
    generator = torch.Generator().manual_seed(examples)
    x, y = torch.randn(examples, 5, generator=generator), torch.randn(examples, generator=generator)
    queries = torch.randn(7, 5, generator=generator)
    shown = engine.run(
        """const model = await loaded(name, (shape, weights) => engine.regressionModel(shape, weights));
        return engine.regressionPredictions(model, x, y, queries);""",
        name=models.REGRESSION,
        x=x.tolist(),
        y=y.tolist(),
        queries=queries.tolist(),
    )
    prompts = torch.cat([x.expand(7, -1, -1), queries[:, None]], dim=1)
    expected = model(prompts, torch.cat([y.expand(7, -1), torch.zeros(7, 1)], dim=1))[:, -1]
    assert examples == 0 or expected.std() > 0.05
    assert shown == pytest.approx(expected.tolist(), abs=WITHIN)


def test_the_lines_beside_it_are_ridge_and_one_step(engine):
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(4, generator=generator), torch.randn(4, generator=generator)
    points = [{"x": one, "y": other} for one, other in zip(x.tolist(), y.tolist(), strict=True)]
    shown = engine.run("return engine.slopes(points, { penalty: 0.3, rate: 0.7 });", points=points)
    prompt = torch.cat([x, torch.ones(1)])[None, :, None], torch.cat([y, torch.zeros(1)])[None]
    expected = {
        "ridge": icl.ridge(*prompt, lam=0.3)[0, -1].item(),
        "step": icl.gradient_descent(*prompt, eta=0.7, steps=1)[0, -1].item(),
    }
    assert shown == pytest.approx(expected, abs=1e-5)
