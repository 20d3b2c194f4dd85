"""The playground's rooms as widgets: on a page as the front ends of Jupyter show it, and asking Python for weights."""

import json
import shutil

import pytest
from ipywidgets.embed import embed_data
from selenium.webdriver.support.ui import WebDriverWait

from mechlib.widgets.playground import Loom, RegressionRoom, TextExplorer, TokenGame
from tests.browser.conftest import served

ROOMS = (TextExplorer, TokenGame, Loom, RegressionRoom)
SCRIPTS = """
<script src="front-end/require.js"></script>
<script data-jupyter-widgets-cdn="front-end/">
require.config({ paths: { anywidget: "front-end/anywidget" } });
</script>
<script src="front-end/embed-amd.js"></script>
"""
STATE, VIEW = "application/vnd.jupyter.widget-state+json", "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def page(chromium, front_end, tmp_path_factory):
    """A page that holds the widgets and all that belongs to them, without a kernel."""
    folder = tmp_path_factory.mktemp("widgets")
    shutil.copytree(front_end, folder / "front-end")
    data = embed_data(views=[room() for room in ROOMS], drop_defaults=False)
    views = "".join(f'<script type="{VIEW}">{json.dumps(view)}</script>' for view in data["view_specs"])
    state = f'<script type="{STATE}">{json.dumps(data["manager_state"])}</script>'
    html = f'<!doctype html><meta charset="utf-8"><body>{SCRIPTS}{state}{views}</body>'
    (folder / "index.html").write_text(html, encoding="utf-8")
    with served(folder, chromium) as browser:
        browser.driver.get_log("performance")
        browser.driver.get(f"{browser.address}/index.html")
        yield browser


@pytest.mark.parametrize(
    ("room", "said"),
    [
        ("explorer", "he 76"),
        ("game", "Show the model's five"),
        ("loom", "Grow three branches"),
        ("regression", "At x = 1"),
    ],
)
def test_a_room_runs_with_the_weights_that_came_with_it(page, room, said):
    def shown(_):
        return " ".join(" ".join(node.text for node in page.all(f".mechlib-{room} .ml-body")).split())

    WebDriverWait(page.driver, 30).until(lambda _: said in shown(page))
    assert page.strangers() == []


def test_weights_that_are_not_there_are_asked_for_by_name_and_used_when_they_come(engine):
    """A stand-in for the kernel: it keeps traits, and answers ``wanted`` as ``Room`` does."""
    wanted, said = engine.run("""
        const { default: widget } = await import(`${location.origin}/explorer.js`);
        const rooms = await (await fetch("rooms.json")).json();
        const traits = { ...rooms.shared, ...rooms.explorer };
        const listeners = [];
        const asked = [];
        const model = {
          get: (name) => traits[name],
          set: (name, value) => { traits[name] = value; },
          on: (event, listener) => listeners.push([event, listener]),
          off: () => {},
          async save_changes() {
            if (!traits.wanted || asked.includes(traits.wanted)) return;
            asked.push(traits.wanted);
            const weights = await (await fetch(`${traits.wanted}.safetensors`)).arrayBuffer();
            traits.weights = { ...traits.weights, [asked.at(-1)]: new DataView(weights) };
            for (const [event, listener] of listeners) if (event === "change:weights") listener();
          },
        };
        document.body.replaceChildren();
        widget.render({ model, el: document.body });
        const said = () => document.querySelector(".ml-prediction").textContent;
        for (let waited = 0; waited < 300 && !said(); waited += 1) await new Promise((next) => setTimeout(next, 50));
        return [asked, said()];""")
    assert wanted == ["code-2l"] and "he\xa076" in said.replace(" ", "\xa0")
