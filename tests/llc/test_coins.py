import torch

from mechlib.llc.coins import own_coins


def test_a_seed_gives_its_coins_and_the_caller_keeps_its_own(device):
    device = torch.device(device)
    torch.manual_seed(7)
    expected = torch.rand(3, device=device)
    torch.manual_seed(7)
    thrown = []
    for seed in (1, 1, 2):
        with own_coins(seed, device):
            thrown.append(torch.rand(3, device=device))
    assert torch.equal(thrown[0], thrown[1]) and not torch.equal(thrown[0], thrown[2])
    assert torch.equal(torch.rand(3, device=device), expected)


def test_they_are_given_back_after_an_error():
    before = torch.get_rng_state()
    try:
        with own_coins(0, torch.device("cpu")):
            torch.rand(1)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert torch.equal(torch.get_rng_state(), before)
