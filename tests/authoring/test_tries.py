"""Links into the playground: what they lead to, and what they refuse."""

import pytest

from mechlib.authoring.tries import linked


def test_a_link_names_the_room_and_its_traits_as_a_query():
    words, address = linked("try it <explorer?text=import%20os%0A&layer=1&ablated=[[1,1]]>")
    assert words == "try it"
    query = "room=explorer&text=import%20os%0A&layer=1&ablated=%5B%5B1%2C1%5D%5D"
    assert address == f"book/playground.html?{query}#room-explorer"
    assert linked("try it <game>") == ("try it", "book/playground.html?room=game#room-game")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("try it", "is 'words <room"),
        ("try it <kitchen>", "explorer, game, loom, regression, not 'kitchen'"),
        ("try it <game?colour=1>", "the traits name, text, not 'colour'"),
        ("try it <game?passages=[]>", "not 'passages'"),
        ("try it <explorer?layer=one>", "'layer' of the room 'explorer' does not take 'one'"),
        ("try it <explorer?layer=1.5>", "does not take '1.5'"),
    ],
)
def test_what_is_not_there_is_refused(content, said):
    with pytest.raises(ValueError, match=said):
        linked(content)
