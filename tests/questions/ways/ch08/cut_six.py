"""Ways to choose heads, as they came out on prompts of other seeds."""

WAYS = {
    "what costs most beside those that are cut already": [(23, 3), (20, 0), (19, 2), (29, 1), (22, 5), (18, 2)],
    "largest total effects of single heads": [(23, 3), (20, 0), (29, 1), (19, 2), (21, 8), (21, 7)],
}
