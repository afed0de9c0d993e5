"""The grammar of the `story` family: five or six short sentences about one animal and one thing."""

import random
import re

ANIMALS = """fox otter owl hare badger mouse heron frog turtle crab whale seal duck goose hedgehog squirrel robin
deer bear cat dog goat snail minnow""".split()
THINGS = """lantern kettle umbrella map bell key drum boat ladder mirror kite basket candle ribbon button clock hat pebble
flute apple feather blanket spoon book""".split()
NAMES = "Ada Bruno Clara Dora Emil Finn Greta Hugo Ida Jonas Kira Leo".split()

OPENINGS = [
    "One {when}, {a_animal} called {name} found {a_thing} {where}.",
    "Once upon a time, {a_animal} called {name} lived {where} with {a_thing}.",
    "There was once {a_animal} called {name} who wanted {a_thing}.",
]
MIDDLES = [
    ["The {thing} was {look}, and {name} {felt}.", "It was {look}, and the {animal} {felt}."],
    [
        "A {friend} came by and asked to see the {thing}.",
        "An old {friend} knocked on the door and wanted to borrow it.",
        "Then the {weather} came, and a {friend} needed help.",
        "But in the {weather} the {thing} was lost.",
    ],
    [
        "Together they took the {thing} {where}.",
        "{name} looked {where} and did not give up.",
        "The {animal} smiled and shared the {thing}.",
        "{name} thought for a while and had {a_idea} idea.",
    ],
    ["All the animals {cheered}.", "Nobody had ever seen {a_animal} so {mood}.", "Soon everyone {cheered}."],
]
ENDINGS = [
    "From that day on, the {animal} and the {thing} were never apart.",
    "That night {name} slept well beside the {thing}.",
    "And the {thing} still belongs to the {animal} today.",
    "In the end, {name} gave the {thing} to a friend and was {mood}.",
]
SLOTS = {
    "when": ["morning", "evening", "summer day", "winter night", "rainy afternoon"],
    "where": ["by the river", "under a tree", "near the sea", "on a hill", "in the forest", "behind the mill"],
    "look": ["old and dusty", "small but bright", "as light as a leaf", "shiny and new", "a little broken"],
    "felt": ["loved it at once", "was very proud", "felt a bit afraid", "wanted to know more", "laughed out loud"],
    "friend": ["rabbit", "raven", "toad", "mole", "swan", "beaver"],
    "weather": ["storm", "fog", "snow", "wind", "rain"],
    "a_idea": ["a clever", "a simple", "a wild", "a good"],
    "cheered": ["cheered", "came to look", "danced until dark", "sang a song"],
    "mood": ["happy", "calm", "brave", "kind"],
}


def with_article(noun: str) -> str:
    """The noun after its indefinite article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def write_story(rng: random.Random, animal: str, thing: str) -> str:
    """One story; the random choices are the sentence forms and the words in their slots."""
    fixed = {
        "animal": animal,
        "thing": thing,
        "a_animal": with_article(animal),
        "a_thing": with_article(thing),
        "name": rng.choice(NAMES),
    }
    middles = [rng.choice(forms) for forms in MIDDLES]
    if rng.random() < 0.5:
        middles.pop()
    forms = [rng.choice(OPENINGS), *middles, rng.choice(ENDINGS)]
    return " ".join(
        form.format(**fixed, **{slot: rng.choice(words) for slot, words in SLOTS.items()}) for form in forms
    )


def story_pattern(animal: str, thing: str, leading_space: bool) -> str:
    """A regular expression (JavaScript with the u flag, or Python) for any acceptable story about the two."""
    lead = " " if leading_space else ""
    return rf"^{lead}(?=.*\b{animal}\b)(?=.*\b{thing}\b)(?=.{{120,400}}$)(?:[A-Z][A-Za-z, ]*\.(?: |$)){{4,6}}$"


def in_grammar(story: str, animal: str, thing: str) -> bool:
    """Whether every sentence of the story is one that the grammar can produce about the two."""
    fixed = {"animal": animal, "thing": thing, "a_animal": with_article(animal), "a_thing": with_article(thing)}
    slots = {slot: "(?:" + "|".join(words) + ")" for slot, words in SLOTS.items()}
    name = "(?:" + "|".join(NAMES) + ")"

    def sentence(forms: list[str]) -> str:
        return "(?:" + "|".join(form.replace(".", r"\.").format(**fixed, **slots, name=name) for form in forms) + ")"

    *middles, last = [" " + sentence(forms) for forms in MIDDLES]
    names = {name for name in NAMES if re.search(rf"\b{name}\b", story)}
    whole = sentence(OPENINGS) + "".join(middles) + f"(?:{last})? " + sentence(ENDINGS)
    return len(names) == 1 and re.fullmatch(whole, story) is not None
