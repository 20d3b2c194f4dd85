import pytest
import torch

from mechlib.llc.batches import Batches, n_samples


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_an_epoch_has_every_sample_once_and_the_next_another_order():
    batches = Batches(torch.arange(12), 3, generator())
    epochs = [torch.cat([next(batches) for _ in range(4)]) for _ in range(2)]
    assert all(sorted(epoch.tolist()) == list(range(12)) for epoch in epochs)
    assert not torch.equal(*epochs)


def test_the_tensors_of_a_batch_stay_together():
    batches = Batches((torch.arange(10), 2 * torch.arange(10)), 4, generator())
    for _ in range(5):
        x, y = next(batches)
        assert len(x) == 4 and torch.equal(2 * x, y)


@pytest.mark.parametrize("size", [None, 7])
def test_all_samples_are_the_data_themselves(size):
    data = torch.arange(7)
    batches = Batches(data, size, generator())
    assert batches.full and next(batches) is data


def test_chunks_are_everything_in_order():
    data = (torch.arange(7), torch.arange(7))
    chunks = list(Batches(data, 2, generator()).chunks(3))
    assert [len(chunk[0]) for chunk in chunks] == [3, 3, 1]
    assert torch.equal(torch.cat([chunk[1] for chunk in chunks]), torch.arange(7))
    assert list(Batches(None, None, generator()).chunks(3)) == [None]


@pytest.mark.parametrize(
    ("data", "size", "match"),
    [
        (torch.arange(5), 6, "batch_size is from 1 to 5, the number of samples, not 6"),
        (torch.arange(5), 0, "not 0"),
        (None, 3, "batch_size=3 without data"),
    ],
)
def test_a_batch_that_cannot_be(data, size, match):
    with pytest.raises(ValueError, match=match):
        Batches(data, size, generator())


def test_the_number_of_samples():
    x = torch.zeros(3, 2)
    assert [n_samples(data) for data in (None, x, (x, x))] == [1, 3, 3]
