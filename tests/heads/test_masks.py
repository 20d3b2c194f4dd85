"""The weights of a head are those that it computes with and no others, and chains may be held to them."""

import math

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from mechlib.bridge import Shape, TransformerBridge, from_transformers, native
from mechlib.heads import weights
from mechlib.llc import estimate_llc
from mechlib.llc.chains import effective_draws
from mechlib.llc.flat import FlatModel
from mechlib.zoo.decoder import Decoder
from tests.architectures import D_MODEL, D_VOCAB, KINDS, build
from tests.models import SHAPE as UNTRAINED
from tests.models import random_native, random_weights, untrained

TOKENS = torch.randint(D_VOCAB, (2, 6), generator=torch.Generator().manual_seed(0))
LAYER, HEAD = 1, 2


@pytest.fixture(params=["native", "gpt2", "llama grouped", "gpt-neox", "phi3", "bloom"], scope="module")
def transformer(request, tmp_path_factory) -> TransformerBridge:
    """Heads that are rows of a matrix, columns, a part of a joint one, taken in turns, or in groups."""
    if request.param == "native":
        return random_native(Shape(n_layers=2, d_model=24, n_heads=4, d_head=6, d_mlp=0, n_ctx=20, d_vocab=D_VOCAB))
    folder = tmp_path_factory.mktemp("model")
    build(KINDS[request.param]).save_pretrained(folder)
    return from_transformers(str(folder), device="cpu")


def seen(model: TransformerBridge) -> tuple[Tensor, Tensor]:
    """What the heads of the layer found ``[head, row, pos, d_head]``, and what they add together."""
    _, cache = model.run_with_cache(TOKENS)
    z, out = cache[f"blocks.{LAYER}.attn.hook_z"], cache[f"blocks.{LAYER}.attn.hook_out"]
    return z.reshape(*z.shape[:2], model.cfg.n_heads, -1).movedim(2, 0).clone(), out.clone()


@torch.no_grad()
def test_a_head_has_the_weights_that_it_computes_with(transformer):
    """Others than those of query, key and value do not move what it finds; these do, and that of its group alone."""
    masks = weights(transformer, (LAYER, HEAD))
    parameters = dict(transformer.named_parameters(remove_duplicate=False))
    kept = {name: p.clone() for name, p in parameters.items()}
    reading = {name for name in masks if ".o." not in name and ".o_proj." not in name}
    noise = torch.Generator().manual_seed(1)
    whole = weights(transformer, (LAYER, "attn"))

    def moved(choice) -> tuple[Tensor, Tensor]:
        for name, mask in whole.items():
            chosen = choice(name, masks.get(name, torch.zeros_like(mask)))
            parameters[name].add_(chosen * torch.randn(mask.shape, generator=noise))
        found = seen(transformer)
        for name, before in kept.items():
            parameters[name].copy_(before)
        return found

    before, added = seen(transformer)
    others, _ = moved(lambda name, mask: ~mask)
    torch.testing.assert_close(others[HEAD], before[HEAD])
    own, _ = moved(lambda name, mask: mask & (name in reading))
    change = (own - before).flatten(1).norm(dim=1)
    (value,) = (name for name in masks if ".v" in name and name.endswith("weight"))
    groups = masks[value].numel() // int(masks[value].sum())
    assert (change > 1e-3).tolist() == [h * groups // 4 == HEAD * groups // 4 for h in range(4)]
    found, total = moved(lambda name, mask: mask & (name not in reading))
    torch.testing.assert_close(found, before)
    assert (total - added).norm() > 1e-3
    heard, said = before[HEAD].flatten(0, 1).double(), (total - added).flatten(0, 1).double()
    linear = torch.linalg.lstsq(heard, said).solution
    torch.testing.assert_close(heard @ linear, said, atol=1e-5, rtol=1e-4)  # of what the head found, and nothing else


def test_heads_and_the_bias_of_out_are_the_attention():
    model = random_native()
    heads = weights(model, *((LAYER, head) for head in range(model.cfg.n_heads)))
    whole = weights(model, (LAYER, "attn"))
    rest = [name for name, mask in whole.items() if name not in heads or not torch.equal(mask, heads[name])]
    assert [name.replace("._original_component", "") for name in rest] == [f"layers.{LAYER}.attn.o.bias"]
    sizes = [FlatModel(model, weights(model, (LAYER, head))).size for head in range(model.cfg.n_heads)]
    cfg = model.cfg
    assert sizes == [4 * cfg.d_head * cfg.d_model + 3 * cfg.d_head] * cfg.n_heads


def test_tied_weights_count_once(tmp_path):
    build(KINDS["gpt2"]).save_pretrained(tmp_path)
    model = from_transformers(str(tmp_path), device="cpu")
    assert FlatModel(model, weights(model, "embed", "unembed")).size == D_VOCAB * D_MODEL
    assert FlatModel(model, weights(model, (0, 1), (0, 1))).size == FlatModel(model, weights(model, (0, 1))).size


def test_tied_weights_of_a_small_model_count_once():
    model = untrained()
    for which in (["embed"], ["unembed"], ["embed", "unembed"]):
        assert FlatModel(model, weights(model, *which)).size == model.cfg.d_vocab * model.cfg.d_model
    assert FlatModel(model).size == UNTRAINED.parameters


def test_the_model_is_left_as_it_was():
    model = random_native().requires_grad_(False)
    kept = {name: (id(p), p.clone()) for name, p in model.named_parameters()}
    weights(model, (0, 1), (1, "mlp"), "ln_final")
    for name, p in model.named_parameters():
        assert id(p) == kept[name][0] and torch.equal(p, kept[name][1]) and not p.requires_grad and p.grad is None


@pytest.mark.parametrize(
    ("places", "match"),
    [
        ((), "give at least one place"),
        (((0, 7),), "there is no head 7 in layer 0: layers are 0 to 2, heads 0 to 1"),
        (((5, "mlp"),), "there is no layer 5: layers are 0 to 2"),
        (((1, "mpl"),), "no component 'mpl' with weights: there are 'ln1', 'attn', 'ln2', 'mlp'"),
        (
            ("head",),
            "no component 'head' with weights: there are 'embed', 'pos_embed', 'blocks', 'ln_final', 'unembed'",
        ),
    ],
)
def test_a_place_that_is_not_there(places, match):
    with pytest.raises(ValueError, match=match):
        weights(random_native(), *places)


def test_what_is_no_transformer():
    with pytest.raises(TypeError):
        weights(torch.nn.Linear(2, 2), (0, 0))


# An estimate with one head free, beside a script of its own

SHAPE = Shape(n_layers=2, d_model=12, n_heads=3, d_head=4, d_mlp=0, n_ctx=6, d_vocab=11, tied=False)
NBETA, GAMMA = 400.0, 10.0


def divergence(logits: Tensor, target: Tensor) -> Tensor:
    """From the model at w* to the model, in nats, ``[row, pos]``."""
    return (target.exp() * (target - logits.log_softmax(-1))).sum(-1)


def by_hand(tokens: Tensor, layer: int, head: int, *, chains: int, steps: int) -> tuple[float, float]:
    """Leimkuhler and Matthews's scheme on one head's rows and columns of a plain module; the estimate and its error."""
    plain = Decoder(SHAPE, 0).eval()
    plain.load_state_dict(random_weights(SHAPE, scale=0.5))
    full = {name: p.detach() for name, p in plain.named_parameters()}
    rows = slice(head * SHAPE.d_head, (head + 1) * SHAPE.d_head)
    prefix = f"layers.{layer}.attn"
    places = {f"{prefix}.{x}.{kind}": rows for x in "qkv" for kind in ("weight", "bias")}
    places[f"{prefix}.o.weight"] = (slice(None), rows)
    center = {name: full[name][place] for name, place in places.items()}
    target = plain(tokens).detach().log_softmax(-1)

    def energy(free: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        moved = {}
        for name, place in places.items():
            moved[name] = full[name].clone()
            moved[name][place] = 0
            moved[name] = moved[name].index_put(*_at(full[name], place, free[name]), accumulate=True)
        loss = divergence(functional_call(plain, full | moved, (tokens,)), target).mean()
        prior = sum((free[name] - center[name]).square().sum() for name in places)
        return NBETA * loss + GAMMA / 2 * prior, NBETA * loss

    slope = vmap(grad(energy, has_aux=True))
    w = {name: p.expand(chains, *p.shape).clone() for name, p in center.items()}
    noise = torch.Generator().manual_seed(5)
    draw = lambda: {name: torch.randn(p.shape, generator=noise) for name, p in w.items()}  # noqa: E731
    eps, xi, trace = 0.005, draw(), []  # the largest curvature of U is some 300
    for _ in range(steps):
        gradient, loss = slope(w)
        after = draw()
        w = {n: w[n] - eps / 2 * gradient[n] + eps**0.5 * (xi[n] + after[n]) / 2 for n in w}
        xi = after
        trace.append(loss)
    kept = torch.stack(trace[steps // 4 :], 1)
    return float(kept.mean()), float(kept.std()) / math.sqrt(effective_draws(kept))


def _at(whole: Tensor, place, values: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    index = torch.arange(whole.numel()).view(whole.shape)[place]
    return torch.unravel_index(index.flatten(), whole.shape), values.flatten()


@pytest.mark.parametrize(("layer", "head"), [(1, 2)])
@pytest.mark.filterwarnings("ignore::mechlib.llc.Unreliable")
def test_the_estimate_of_one_head_is_that_of_a_script(layer, head):
    model = native(SHAPE, random_weights(SHAPE, scale=0.5), device="cpu")
    tokens = torch.randint(11, (24, 6), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        target = model(tokens).log_softmax(-1)
    found = estimate_llc(
        model, lambda f, batch: divergence(f(batch[0]), batch[1]), (tokens, target), nbeta=NBETA, gamma=GAMMA,
        params=weights(model, (layer, head)), draws=1200, burnin=300, progress=False,
    )  # fmt: skip
    mean, error = by_hand(tokens, layer, head, chains=8, steps=1500)
    assert abs(found.llc - mean) < 4 * math.hypot(found.std_error, error)
    assert max(found.std_error, error) < 0.1 * mean  # 2 to 5 % at two seeds
