"""What the figures draw, read back from the axes, and the page that carries them."""

import re
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from mechlib import plots
from mechlib.stats import Estimate


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def luminance(colour):
    return np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722))


def test_by_depth_draws_means_and_bands_that_hold_them():
    values = np.random.default_rng(0).normal(size=(4, 30)) + np.arange(4)[:, None]
    ax = plots.by_depth({"lens": values}, ylabel="KL (nats)")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), values.mean(1))
    outline = ax.collections[0].get_paths()[0].vertices
    for depth, mean in enumerate(values.mean(1)):
        edges = outline[outline[:, 0] == depth, 1]
        assert edges.min() < mean < edges.max()
        assert 0.2 < edges.max() - edges.min() < 1.6
    assert [label.get_text() for label in ax.get_xticklabels()] == ["embedding", "layer 0", "layer 1", "layer 2"]
    assert ax.get_ylabel() == "KL (nats)" and ax.get_xlabel()


def test_series_differ_without_colour_and_controls_are_grey():
    series = {name: np.full((3, 5), float(i)) for i, name in enumerate(["a", "b", "c", "d", "random"])}
    ax = plots.by_depth(series, ylabel="x", controls=["random"])
    looks = {(str(line.get_linestyle()), line.get_marker()) for line in ax.lines}
    assert len(looks) == 5
    *drawn, _ = [luminance(line.get_color()) for line in ax.lines]
    assert all(b - a > 0.08 for a, b in pairwise(drawn))
    assert len(set(to_rgb(ax.lines[-1].get_color()))) == 1


def test_labels_at_the_end_do_not_touch():
    series = {f"series {i}": np.full((3, 4), 1 + i / 1000) for i in range(4)} | {"far": np.zeros((3, 4))}
    ax = plots.by_depth(series, ylabel="x")
    ax.figure.canvas.draw()
    boxes = sorted((Text.get_window_extent(text) for text in ax.texts), key=lambda box: box.y0)
    assert len(boxes) == 5
    assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))


def test_effects_draws_every_interval_and_marks_controls():
    rows = {"treated": Estimate(-0.2, -0.3, -0.1, 9), "placebo": Estimate(0.1, -0.1, 0.4, 9)}
    ax = plots.effects(rows, xlabel="change (nats)", controls=["placebo"])
    segments = [c.get_segments()[0] for c in ax.collections]
    np.testing.assert_allclose([s[:, 0] for s in segments], [(-0.3, -0.1), (-0.1, 0.4)])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["treated", "placebo (control)"]
    assert segments[0][0, 1] < segments[1][0, 1] and ax.yaxis_inverted()


def test_depth_map_shows_the_values_and_marks_the_cells():
    values = np.arange(6.0).reshape(2, 3)
    ax = plots.depth_map(values, tokens=["a", "·b", "$"], label="KL (nats)", marked=values == 4)
    np.testing.assert_array_equal(ax.images[0].get_array(), values)
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), [(1, 1)])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "·b", "$"]
    ramp = [luminance(colour) for colour in plots.WHITE_TO_DARK(np.linspace(0, 1, 50))]
    assert all(b < a for a, b in pairwise(ramp))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.by_depth({"a": np.zeros(3)}, ylabel="y"), r"\[entry, unit\].*'a': \(3,\)"),
        (lambda: plots.by_depth({"a": np.zeros((3, 2)), "b": np.zeros((4, 2))}, ylabel="y"), r"same number of entries"),
        (lambda: plots.by_depth({"a": np.zeros((3, 2))}, ylabel="y", controls=["z"]), r"\['z'\].*drawn are \['a'\]"),
        (lambda: plots.depth_map(np.zeros((2, 3)), tokens=["a"], label="x"), r"1 positions, got \(2, 3\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_its_shape(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_a_picture_carries_alternative_text_and_caption_and_is_closed():
    ax = plots.effects({"a": Estimate(0, -1, 1, 5)}, xlabel="x")
    picture = plots.picture(ax, caption="One <row>.", alt='A "plot"\n of one row.')
    data = picture._repr_mimebundle_()
    assert 'alt="A &quot;plot&quot; of one row."' in data["text/html"]
    assert "<figcaption>One &lt;row&gt;.</figcaption>" in data["text/html"]
    assert re.search(r'src="data:image/svg\+xml;base64,\w+', data["text/html"])
    assert data["text/plain"] == '[Figure: A "plot" of one row.]\nOne <row>.'
    assert not plt.get_fignums()


def test_the_same_figure_is_the_same_bytes():
    first, second = (
        plots.picture(plots.by_depth({"a": np.eye(3)}, ylabel="y"), caption="c", alt="a").svg for _ in range(2)
    )
    assert first == second and "<text" not in first


@pytest.mark.parametrize(("caption", "alt"), [("", "alt"), ("caption", " ")])
def test_a_figure_without_words_is_refused(caption, alt):
    with pytest.raises(ValueError, match="a caption and an alternative text"):
        plots.picture(plots.effects({"a": Estimate(0, -1, 1, 5)}, xlabel="x"), caption=caption, alt=alt)
