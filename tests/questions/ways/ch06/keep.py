"""Ways to choose heads, as they came out on the rows that the notebook gives for the search, or on others."""

WAYS = {
    "whose silence costs most": [
        *[(16, 0), (18, 6), (17, 3), (29, 1), (19, 8), (18, 7), (23, 7), (22, 1)],
        *[(19, 3), (20, 6), (23, 2), (20, 3), (20, 5), (23, 8), (19, 1), (16, 2)],
    ],
    "added one by one": [
        *[(16, 0), (18, 6), (17, 3), (18, 7), (23, 7), (23, 2), (22, 1), (29, 1)],
        *[(19, 8), (23, 8), (19, 3), (20, 6), (23, 1), (20, 3), (23, 0), (17, 8)],
    ],
}
