"""The scripts of the playground as a module whose functions can be called from Python, on a page of its own."""

import json
from dataclasses import dataclass
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import WebDriverWait

from mechlib.widgets import assets
from mechlib.widgets.playground import served

SCRIPTS = ("engine", "tokenizer", "language", "regressor")
EXPORTED = (
    "attribution, best, buildTokenizer, decode, divergence, encode, languageModel, probabilitiesAt, readTokens, "
    "regressionModel, regressionPredictions, slopes, tokenText"
)
PRELUDE = """
import * as engine from "./engine.js";
const rooms = await (await fetch("./rooms.json")).json();
const described = Object.assign({}, ...Object.values(rooms).map((room) => room.models ?? {}));
window.tokenizer = engine.buildTokenizer(rooms.shared.tokenizer);
window.engine = engine;
window.loaded = async (name, make = engine.languageModel) => (
  make(described[name].shape, await (await fetch(`./${name}.safetensors`)).arrayBuffer())
);
window.ready = true;
"""
"""What every call finds: the functions, the tokeniser, and ``loaded(name)``, a model."""


@dataclass
class Engine:
    """The functions of the playground in a browser."""

    driver: Chrome
    address: str

    def open(self) -> None:
        """Open the page, unless it is open."""
        page = f"{self.address}/engine.html"
        if self.driver.current_url != page:
            self.driver.get(page)
            WebDriverWait(self.driver, 30).until(lambda driver: driver.execute_script("return window.ready"))

    def run(self, body: str, **given):
        """What an asynchronous function of this body returns; the given values are constants in it.

        Numbers that are no JSON come as ``None``; arrays of single precision as lists.
        """
        self.open()
        constants = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in given.items())
        plain = "(key, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value)"
        script = f"""
        const done = arguments[arguments.length - 1];
        (async () => {{ {constants} {body} }})().then(
          (value) => done({{ value: JSON.stringify(value, {plain}) }}), (error) => done({{ error: error.stack }}),
        );"""
        answer = self.driver.execute_async_script(script)
        assert "error" not in answer, answer["error"]
        return json.loads(answer["value"]) if answer["value"] is not None else None


def write(folder: Path) -> Path:
    """A page with the scripts in a folder of its own."""
    served.write(folder)
    text = assets.script(*(f"playground/{name}" for name in SCRIPTS))
    (folder / "engine.js").write_text(f"{text}\nexport {{ {EXPORTED} }};\n", encoding="utf-8")
    (folder / "prelude.js").write_text(PRELUDE, encoding="utf-8")
    page = '<!doctype html><meta charset="utf-8"><script type="module" src="prelude.js"></script>'
    (folder / "engine.html").write_text(page, encoding="utf-8")
    return folder
