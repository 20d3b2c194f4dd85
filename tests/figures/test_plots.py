"""What the figures draw, read back from the axes, and the page that carries them."""

import base64
import io
import re
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image

from mechlib.figures import house, lettering, pictures, plots
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
    series = {name: np.full((3, 6), float(i)) for i, name in enumerate(["a", "b", "c", "d", "random"])}
    ax = plots.by_depth(series, ylabel="x", controls=["random"])
    looks = {(str(line.get_linestyle()), line.get_marker()) for line in ax.lines}
    assert len(looks) == 5
    *drawn, _ = [luminance(line.get_color()) for line in ax.lines]
    assert all(b - a > 0.08 for a, b in pairwise(drawn))
    assert len(set(to_rgb(ax.lines[-1].get_color()))) == 1


def test_curves_of_few_units_show_each_unit_and_no_band():
    values = np.random.default_rng(1).normal(size=(50, 3))
    ax = plots.curves(np.geomspace(1, 1e4, 50), {"loss": values}, xlabel="step", ylabel="loss (nats)")
    *units, mean = ax.lines
    assert not ax.collections
    np.testing.assert_array_equal([line.get_ydata() for line in units], values.T)
    np.testing.assert_allclose(mean.get_ydata(), values.mean(1))
    assert all(line.get_linewidth() < mean.get_linewidth() for line in units)


def test_curves_of_many_units_stand_at_their_x():
    x = [1.0, 10.0, 100.0]
    ax = plots.curves(x, {"loss": np.random.default_rng(2).normal(size=(3, 20))}, xlabel="n", ylabel="loss (nats)")
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), x)
    assert set(ax.collections[0].get_paths()[0].vertices[:, 0]) == set(x)


def test_labels_at_the_end_do_not_touch():
    series = {f"series {i}": np.full((3, 4), 1 + i / 1000) for i in range(4)} | {"far": np.zeros((3, 4))}
    ax = plots.by_depth(series, ylabel="x")
    ax.figure.canvas.draw()
    boxes = sorted((Text.get_window_extent(text) for text in ax.texts), key=lambda box: box.y0)
    assert len(boxes) == 5
    assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))


@pytest.mark.parametrize("panels", [1, 2])
def test_labels_stand_beside_the_plot_at_the_height_of_their_curves_whatever_the_limits(panels):
    with plots.style():
        figure, axes = plt.subplots(1, panels, figsize=(5 * panels, 3.6), squeeze=False)
    series = {"high": np.full((5, 4), 8.5), "low": np.full((5, 4), 1.0), "far outside": np.full((5, 4), 30.0)}
    ax = plots.by_depth(series, ylabel="x", ax=axes[0, -1])
    ax.set_ylim(0, 9)
    figure.canvas.draw()
    boxes = {text.get_text(): Text.get_window_extent(text) for text in ax.texts}
    assert all(box.x0 > ax.bbox.x1 and box.x1 <= figure.bbox.x1 for box in boxes.values())
    assert all(ax.bbox.y0 <= box.y0 + 1 and box.y1 <= ax.bbox.y1 + 1 for box in boxes.values())
    middle = {name: 9 * ((box.y0 + box.y1) / 2 - ax.bbox.y0) / ax.bbox.height for name, box in boxes.items()}
    assert middle["low"] == pytest.approx(1.0, abs=0.05) and 7.5 < middle["high"] < middle["far outside"] <= 9


def test_intervals_spread_as_little_as_they_must_and_stay_in_the_plot():
    np.testing.assert_allclose(lettering.spread([1, 5, 5], [2, 2, 2], 10), [1, 4, 6])
    np.testing.assert_allclose(lettering.spread([0, 0, 10], [2, 2, 2], 10), [1, 3, 9])
    np.testing.assert_allclose(lettering.spread([0, 1, 2], [2, 2, 2], 4), [1, 3, 5])


@pytest.mark.parametrize("panels", [1, 2])
def test_long_names_fit_the_picture(panels):
    with plots.style():
        _, axes = plt.subplots(1, panels, figsize=(5 * panels, 3.6), squeeze=False)
    ylabel, xlabel = "current token named by a linear probe (share)", "change in loss (nats per token; left is better)"
    series = {f"a series with a long name {i}": np.full((5, 4), i / 9) for i in range(6)}
    rows = {"another position's token": Estimate(0, -1, 1, 5)}
    depth = plots.by_depth(series, ylabel=ylabel, ax=axes[0, 0])
    effects = plots.effects(rows, xlabel=xlabel, controls=rows, **({"ax": axes[0, 1]} if panels == 2 else {}))
    for ax in (depth, effects):
        plots.picture(ax, caption="c", alt="a")
    assert depth.get_ylabel().replace("\n", " ") == ylabel and effects.get_xlabel().replace("\n", " ") == xlabel
    assert depth.yaxis.label.get_window_extent().height <= depth.bbox.height
    assert effects.xaxis.label.get_window_extent().width <= effects.bbox.width
    ticks = [label.get_window_extent() for label in depth.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(ticks))
    assert depth.get_xticklabels()[0].get_text() == "embed"


def test_names_too_wide_to_stand_side_by_side_are_turned():
    entries = [f"after a long name {i}" for i in range(5)]
    ax = plots.by_depth({"a": np.eye(5)}, ylabel="y", entries=entries)
    plots.picture(ax, caption="c", alt="a")
    assert [label.get_text() for label in ax.get_xticklabels()] == entries
    assert all(label.get_rotation() == 40 for label in ax.get_xticklabels())


def test_axes_in_a_part_of_a_figure_give_the_whole_picture():
    left, right = plt.figure().subfigures(1, 2)
    ax, other = left.subplots(), right.subplots()
    assert plots.picture(ax, caption="c", alt="a").width == pytest.approx(
        plots.picture(other.figure, caption="c", alt="a").width
    )


def test_what_lies_outside_the_figure_widens_the_picture():
    ax = plots.effects({"a": Estimate(0, -1, 1, 5)}, xlabel="x")
    plain = 116 * ax.figure.get_figwidth()
    ax.text(1.5, 0.5, "far to the right", transform=ax.transAxes)
    ax.figure.set_layout_engine("none")
    assert plots.picture(ax, caption="c", alt="a").width > plain + 100


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


def test_a_grid_shows_both_signs_in_grey():
    values = np.array([[2.0, -2.0, -0.01], [0.0, -0.5, np.nan]])
    ax = plots.grid(values, rows="ab", columns=["x", "yes", "z"], label="nats", xlabel="column", ylabel="row")
    np.testing.assert_array_equal(ax.images[0].get_array(), np.ma.masked_invalid(values))
    assert [(text.get_text(), text.get_position()) for text in ax.texts] == [("−", (1, 0)), ("−", (1, 1))]
    assert ax.images[0].get_clim() == (-2, 2)
    for ramp in (np.linspace(0.5, 1, 30), np.linspace(0.5, 0, 30)):
        shades = [luminance(colour) for colour in plots.SIGNED(ramp)]
        assert all(b < a for a, b in pairwise(shades))
    assert not plots.grid(np.zeros((1, 1)), rows="a", columns="b", label="", xlabel="", ylabel="").texts


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.by_depth({"a": np.zeros(3)}, ylabel="y"), r"\[point, unit\].*'a': \(3,\)"),
        (lambda: plots.by_depth({"a": np.zeros((3, 2)), "b": np.zeros((4, 2))}, ylabel="y"), r"the 3 points of x"),
        (lambda: plots.by_depth({"a": np.zeros((3, 2))}, ylabel="y", controls=["z"]), r"\['z'\].*drawn are \['a'\]"),
        (lambda: plots.depth_map(np.zeros((2, 3)), tokens=["a"], label="x"), r"1 positions, got \(2, 3\)"),
        (
            lambda: plots.grid(np.zeros((2, 3)), rows="a", columns="bcd", label="", xlabel="", ylabel=""),
            r"with 1 and 3, got \(2, 3\)",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_its_shape(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_a_picture_carries_alternative_text_and_caption_and_is_closed():
    ax = plots.effects({"a": Estimate(0, -1, 1, 5)}, xlabel="x")
    picture = plots.picture(ax, caption="One <row>.", alt='A "plot"\n of one row.')
    data, metadata = picture._repr_mimebundle_()
    assert 'alt="A &quot;plot&quot; of one row."' in data["text/html"]
    assert "<figcaption>One &lt;row&gt;.</figcaption>" in data["text/html"]
    assert re.search(r'src="data:image/svg\+xml;base64,\w+', data["text/html"])
    assert data["text/plain"] == '[Figure: A "plot" of one row.]\nOne <row>.'
    assert Image.open(io.BytesIO(base64.b64decode(metadata[plots.PNG]))).width == pytest.approx(
        picture.width / 116 * pictures.DOTS, abs=2
    )
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


@pytest.mark.parametrize(("n", "columns", "rows"), [(1, None, 1), (2, None, 1), (4, None, 1), (7, None, 2), (2, 1, 2)])
def test_panels_stand_row_by_row_with_a_letter_each(n, columns, rows):
    figure, axes = plots.panels(n, titles=[f"title {i}" for i in range(n)], columns=columns, height=2.0)
    assert [ax.get_title(loc="left") for ax in axes] == [f"({'abcdefg'[i]}) title {i}" for i in range(n)]
    assert tuple(figure.get_size_inches()) == (house.PAGE_WIDTH, 2.0 * rows)
    figure.canvas.draw()
    corners = [(-round(box.y0, 3), box.x0) for box in (ax.get_position() for ax in axes)]
    assert corners == sorted(corners) and [ax for ax in figure.axes if ax.get_visible()] == axes


def test_panels_without_titles_have_their_letters_and_letters_can_be_left_out():
    assert [ax.get_title(loc="left") for ax in plots.panels(2)[1]] == ["(a)", "(b)"]
    assert [ax.get_title(loc="left") for ax in plots.panels(2, titles="AB", letters=False)[1]] == ["A", "B"]


def test_panels_share_axes_where_that_is_asked():
    _, (left, right) = plots.panels(2, sharey=True)
    left.plot([0, 1], [0, 50])
    right.plot([0, 9], [0, 1])
    assert left.get_ylim() == right.get_ylim() and left.get_xlim() != right.get_xlim()
    assert right.spines["top"].get_visible() is False


@pytest.mark.parametrize(("n", "titles"), [(0, ()), (3, ("one", "two"))])
def test_panels_that_cannot_be_are_refused(n, titles):
    with pytest.raises(ValueError, match=f"got n={n} and titles="):
        plots.panels(n, titles=titles)
