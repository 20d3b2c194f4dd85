"""What a page loads, joined: in its order, with its addresses, each script ended."""

import pytest

from mechlib.authoring.bundles import joined_scripts, joined_styles


def test_addresses_lead_to_the_same_files():
    sheets = {
        "_static/a.css": "a { background: url(b.png) } b { mask: url('#x') }",
        "_static/styles/c.css": 'c { src: url("../fonts/d.woff") } d { x: url(data:,) url(https://example.org/y) }',
    }
    joined = joined_styles(sheets)
    assert 'url("../b.png")' in joined and 'url("../fonts/d.woff")' in joined
    assert "url('#x')" in joined and "url(data:,)" in joined and "url(https://example.org/y)" in joined
    assert joined.index("a {") < joined.index("c {")


def test_a_sheet_that_imports_is_refused_by_name():
    with pytest.raises(ValueError, match=r"b\.css imports"):
        joined_styles({"a.css": "a {}", "b.css": '@import "c.css";'})


def test_a_script_without_an_end_does_not_run_into_the_next():
    assert "let a = 1\n;\n(() => {})()" in joined_scripts({"a.js": "let a = 1", "b.js": "(() => {})()"})
