"""The references of chapter 03 against the library, other definitions, and what they promise."""

import pytest
import torch

from mechlib.checks.registry import find
from mechlib.probes import fit_linear_part, fit_ridge
from mechlib.questions.ch03 import read, refute
from mechlib.questions.verdicts import sure

NEAREST, BY_PLACE, ERASE = (find(f"ch03.{name}").reference for name in ("nearest", "by_place", "erase"))


def generator(seed=3):
    return torch.Generator().manual_seed(seed)


def test_a_probe_of_the_library_names_the_nearest():
    codes = torch.randn(17, 5, generator=generator())
    labels = torch.randint(17, (40, 9), generator=generator(4))
    h = codes[labels] @ torch.randn(5, 7, generator=generator(5)) + torch.randn(40, 9, 7, generator=generator(6))
    probe = fit_ridge(h, labels, codes)
    assert torch.equal(NEAREST(h, probe.weight, probe.bias, codes), probe.named(h))


def test_places_are_told_apart():
    word = torch.tensor([[4, 5, 5, -1, 6, 6, 6], [6, -1, -1, 7, 7, 8, 8]])
    right = torch.tensor([[1, 1, 0, 1, 1, 1, 0], [0, 1, 1, 0, 1, 1, 1]]).bool()
    expected = torch.tensor([1 / 2, 3 / 4, 1.0, 2 / 4], dtype=torch.float64)
    torch.testing.assert_close(BY_PLACE(right, word), expected)


def test_every_token_of_a_word_is_in_one_group():
    case = find("ch03.by_place").cases(generator())[0].inputs
    from mechlib.questions.ch03.by_place import places

    assert torch.equal(torch.stack(places(case["word"])).sum(0), (case["word"] >= 0).long())


def test_what_is_erased_is_the_library_s_part():
    for case in find("ch03.erase").cases(generator()):
        h, codes = case.inputs["h"], case.inputs["codes"]
        left = ERASE(h, codes)
        torch.testing.assert_close(left, h - fit_linear_part(h, codes)(codes), atol=1e-6, rtol=1e-6)
        c = codes - codes.mean(0)
        assert (c.T @ left).abs().max() < 1e-9 * (c.abs().max() * left.abs().max() * len(h)).clamp(min=1)


@pytest.mark.parametrize("kind", refute.KINDS, ids=lambda kind: kind.about)
def test_both_rivals_are_beaten_where_the_claim_holds_and_one_is_not_elsewhere(kind):
    found = []
    for seed in range(40):
        drawn = kind.drawn(generator(seed))
        found.append(sure(drawn["own"] - drawn["before"]) and sure(drawn["own"] - drawn["guess"]))
    assert sum(found) >= 38 if kind.holds else sum(found) <= 4


def test_streams_hold_their_classes_and_are_as_large_as_told():
    for stream, d in zip(read.draw(generator()), read.WIDTHS, strict=True):
        assert stream.h.shape == (read.N_FIT, d)
        assert stream.new.shape == (read.N_NEW, d)
        assert stream.labels.max() < len(stream.codes)
        assert read.missed(stream, stream.wanted) == 0
        assert read.missed(stream, (stream.wanted + 1) % len(stream.codes)) == 1
