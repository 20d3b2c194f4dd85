#!/usr/bin/env bash
# Fetches the files of this folder again from the npm registry. To move to another version, change it here.
# anywidget must be the version of constraints.txt: a test compares the two.
set -euo pipefail
cd "$(dirname "$0")"
REQUIREJS=2.3.8
HTML_MANAGER=1.0.15
ANYWIDGET=0.11.0
MATHJAX=3.2.2
FONT_AWESOME=5.15.4 # the release that html-manager bundles

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

unpack() { # package version folder
  local archive
  archive=$(cd "$scratch" && npm pack --silent "$1@$2")
  mkdir -p "$scratch/$3"
  tar -xzf "$scratch/$archive" -C "$scratch/$3" --strip-components=1
}

unpack requirejs "$REQUIREJS" requirejs
unpack @jupyter-widgets/html-manager "$HTML_MANAGER" html-manager
unpack anywidget "$ANYWIDGET" anywidget
unpack mathjax "$MATHJAX" mathjax
unpack @fortawesome/fontawesome-free "$FONT_AWESOME" font-awesome

cp "$scratch/requirejs/require.js" require.js
cp "$scratch/html-manager/dist/embed-amd.js" embed-amd.js
cp "$scratch/html-manager/dist/embed.js.LICENSE.txt" LICENSE-html-manager-bundled
# The fonts that embed-amd.js declares (icons of ipywidgets, and of the theme on pages with widgets).
for font in 1551f4f60c37af51121f 7a3337626410ca2f4071 d878b0a6a1144760244f; do
  cp "$scratch/html-manager/dist/$font.woff2" .
done
cp "$scratch/font-awesome/LICENSE.txt" LICENSE-font-awesome
cp "$scratch/anywidget/dist/index.js" anywidget.js
cp "$scratch/anywidget/LICENSE" LICENSE-anywidget

rm -rf mathjax
mkdir -p mathjax/output/chtml/fonts mathjax/input/tex/extensions
cp "$scratch/mathjax/LICENSE" mathjax/LICENSE
cp "$scratch/mathjax/es5/tex-mml-chtml.js" mathjax/
cp -r "$scratch/mathjax/es5/output/chtml/fonts/woff-v2" mathjax/output/chtml/fonts/
for extension in bbox boldsymbol braket cancel color mathtools; do
  cp "$scratch/mathjax/es5/input/tex/extensions/$extension.js" mathjax/input/tex/extensions/
done
