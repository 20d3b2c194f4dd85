"""Ways to choose layers, as they came out on the passages that the notebook gives for the search."""

WAYS = {
    "greedily": [17, 16, 18, 14, 5, 13, 15, 26],
    "those that cost least alone": [17, 16, 14, 25, 26, 5, 18, 12],
    "those that turn the stream least": [25, 14, 26, 17, 13, 16, 15, 4],
}
