import pytest

from mechlib.places import entry_names, require_head


def test_there_is_one_entry_more_than_layers():
    assert entry_names(2) == ("embedding", "layer 0", "layer 1")


@pytest.mark.parametrize(("layer", "head"), [(-1, 0), (2, 0), (0, 3), (0, -1)])
def test_a_head_that_is_not_there_is_refused(layer, head):
    require_head(1, 2, n_layers=2, n_heads=3)
    with pytest.raises(ValueError, match=f"no head {head} in layer {layer}: layers are 0 to 1, heads 0 to 2"):
        require_head(layer, head, n_layers=2, n_heads=3)
