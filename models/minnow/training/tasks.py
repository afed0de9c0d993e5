"""The families of questions that Minnow answers: a seeded generator, the held-out split, and a checker.

A family is a list of groups; a group joins prompt templates with arguments, drawn at random (open) or listed (closed).

The split is decided by a stable hash:
- open groups hold out *arguments*: one argument in ten is never seen in training, under any template;
- closed groups hold out (template, argument) *pairs*: one in five; each fact is seen under other templates.
"""

import hashlib
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import words
from story import ANIMALS, THINGS, story_pattern, with_article, write_story
from words import random_word

CHAT = "chat"
COMPLETION = "completion"

ALWAYS_SEEN = ""
"""The key of an argument that is never held out."""

Fact = dict[str, str]
"""The fields of one argument: those named in the templates, and `key`, its identity for the split."""


@dataclass(frozen=True)
class Template:
    """A prompt and its answer, as format strings over the fields of an argument."""

    form: str
    prompt: str
    answer: str


@dataclass(frozen=True)
class Group:
    """Templates, and the arguments that fit them: `draw` for an open group, `facts` for a closed one."""

    templates: list[Template]
    draw: Callable[[random.Random], Fact] | None = None
    facts: list[Fact] | None = None
    weight: float = 1.0
    split: bool = True
    """Whether some of it is held out; wordings that only widen the training are not."""


@dataclass(frozen=True)
class Family:
    """One kind of question, and its share of the training samples."""

    name: str
    weight: float
    groups: list[Group]


@dataclass(frozen=True)
class Sample:
    """One prompt with its answer."""

    family: str
    form: str
    prompt: str
    answer: str
    pattern: str | None = None


def chat(answer: str, *prompts: str) -> list[Template]:
    """Chat templates that share one form of answer."""
    return [Template(CHAT, prompt, answer) for prompt in prompts]


def completion(answer: str, *prompts: str) -> list[Template]:
    """Completion templates that share one form of answer, which carries its leading space."""
    return [Template(COMPLETION, prompt, " " + answer) for prompt in prompts]


# Numbers


def _operand(rng: random.Random) -> int:
    return rng.randint(0, 9) if rng.random() < 0.2 else rng.randint(0, 99)


def _pair(rng: random.Random) -> tuple[int, int]:
    return _operand(rng), _operand(rng)


def _sum(rng: random.Random) -> Fact:
    a, b = _pair(rng)
    key = ALWAYS_SEEN if max(a, b) < 10 else f"{min(a, b)} {max(a, b)}"
    return {"a": str(a), "b": str(b), "y": str(a + b), "key": key}


def _difference(rng: random.Random) -> Fact:
    b, a = sorted(_pair(rng))
    key = ALWAYS_SEEN if a < 10 else f"{a} {b}"
    if rng.random() < 0.1:
        a, b = b, a
    return {"a": str(a), "b": str(b), "y": str(a - b), "key": key}


def _comparison(rng: random.Random) -> Fact:
    a, b = rng.sample(range(100), 2)
    if rng.random() < 0.3:
        b = min(99, max(0, a + rng.randint(-9, 9)))
        b += b == a
    return {"a": str(a), "b": str(b), "high": str(max(a, b)), "low": str(min(a, b)), "key": f"{min(a, b)} {max(a, b)}"}


def _numbers(rng: random.Random) -> Fact:
    numbers = rng.sample(range(1, 100 if rng.random() < 0.8 else 20), rng.randint(3, 5))
    ordered = sorted(numbers)
    return {
        "xs": ", ".join(map(str, numbers)),
        "up": ", ".join(map(str, ordered)),
        "down": ", ".join(map(str, ordered[::-1])),
        "key": " ".join(map(str, ordered)),
    }


# Words


def _word(rng: random.Random) -> Fact:
    key = random_word(rng)
    w = key.capitalize() if rng.random() < 0.06 else key
    return {"w": w, "back": w[::-1], "upper": w.upper(), "key": key}


def _letters(rng: random.Random) -> Fact:
    w = random_word(rng, 3, 7)
    return {"w": w, "sorted": "".join(sorted(w)), "key": w}


def _counted(rng: random.Random) -> Fact:
    w = random_word(rng)
    if rng.random() < 0.5:
        while len(set(w)) == len(w):
            w = random_word(rng)
        letter = rng.choice(w) if rng.random() < 0.5 else max(w, key=w.count)
    else:
        letter = rng.choice(w) if rng.random() < 0.6 else rng.choice("abcdefghijklmnopqrstuvwxyz")
    return {"w": w, "c": letter, "y": str(w.count(letter)), "key": w}


def _repeated(rng: random.Random) -> Fact:
    w, n = random_word(rng), rng.randint(2, 6)
    return {"w": w, "n": str(n), "y": " ".join([w] * n), "key": w}


# Tables


def _steps(names: list[str], low: int, high: int) -> list[Fact]:
    facts = []
    for i, name in enumerate(names):
        for n in range(low, high + 1):
            after, before = names[(i + n) % len(names)], names[(i - n) % len(names)]
            facts.append({"d": name, "n": str(n), "after": after, "before": before, "key": f"{name} {n}"})
    return facts


def _calendar(kind: str, names: list[str], high: int) -> list[Group]:
    once = [
        *chat(
            "{after}", f"What {kind} comes after {{d}}?", f"Which {kind} follows {{d}}?", f"Next {kind} after {{d}}?"
        ),
        *chat("{before}", f"What {kind} comes before {{d}}?", f"Which {kind} is just before {{d}}?"),
        *completion("{after}.", f"The {kind} after {{d}} is"),
        *completion("{before}.", f"The {kind} before {{d}} is"),
    ]
    several = [
        *chat(
            "{after}",
            f"What {kind} is {{n}} {kind}s after {{d}}?",
            f"{{n}} {kind}s after {{d}}?",
            f"Which {kind} comes {{n}} {kind}s after {{d}}?",
        ),
        *chat("{before}", f"What {kind} is {{n}} {kind}s before {{d}}?", f"{{n}} {kind}s before {{d}}?"),
        *completion("{after}.", f"{{n}} {kind}s after {{d}} comes"),
        *completion("{before}.", f"{{n}} {kind}s before {{d}} comes"),
    ]
    once_more = [
        *chat(
            "{after}", f"Which {kind} is just after {{d}}?", f"The {kind} after {{d}}?", f"What {kind} follows {{d}}?"
        ),
        *chat(
            "{before}",
            f"Which {kind} comes before {{d}}?",
            f"The {kind} before {{d}}?",
            f"What {kind} is before {{d}}?",
        ),
        *completion("{after}.", "{d} is followed by"),
        *completion("{before}.", "Just before {d} comes"),
    ]
    several_more = [
        *chat("{after}", f"Which {kind} is {{n}} {kind}s after {{d}}?", f"What comes {{n}} {kind}s after {{d}}?"),
        *chat("{before}", f"Which {kind} is {{n}} {kind}s before {{d}}?", f"What comes {{n}} {kind}s before {{d}}?"),
        *completion("{after}.", f"The {kind} {{n}} {kind}s after {{d}} is"),
        *completion("{before}.", f"The {kind} {{n}} {kind}s before {{d}} is"),
    ]
    one, more = _steps(names, 1, 1), _steps(names, 2, high)
    return [
        Group(once, facts=one, weight=0.6),
        Group(several, facts=more, weight=0.6),
        Group(once_more, facts=one, weight=0.4, split=False),
        Group(several_more, facts=more, weight=0.4, split=False),
    ]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


_CAPITALS = [
    {"country": k, "Country": _sentence(k), "city": v, "key": k} for k, v in words.CAPITALS.items()
]  # fmt: skip
_COLOURS = [{"thing": k, "Thing": _sentence(k), "colour": v, "key": k} for k, v in words.COLOURS.items()]
_OPPOSITES = [{"a": a, "b": b, "key": a} for x, y in words.OPPOSITES for a, b in ((x, y), (y, x))]

# Help: what to say to a stranger

HELLO = "Hello! I am Minnow, a very small fish. Ask me to add, sort, reverse or count, or ask for a story."
WHO = "I am Minnow, a very small language model. I can add, sort, reverse and count, and tell short stories."
THANKS = "You are welcome."
BYE = "Goodbye!"
UNKNOWN = "I do not know that one. Ask me to add, sort, reverse or count, or ask for a story."

_GREETINGS = [
    (HELLO, "Hello|Hello!|Hello there|Hi|Hi!|Hi there!|Hey|Good morning|Good evening!|Hello Minnow|How are you?|test"),
    (WHO, "Who are you?|What are you?|What can you do?|What is your name?|Help|Help me|Are you a fish?|Are you an AI?"),
    (WHO, "Introduce yourself.|Tell me about yourself.|What is Minnow?|What do you know?|Who made you?"),
    (THANKS, "Thanks|Thanks!|Thank you|Thank you!|Thank you very much.|Great, thanks"),
    (BYE, "Bye|Bye!|Goodbye|Goodbye!|See you later|Good night"),
]
_GREETING_FACTS = [{"q": q, "y": y, "key": q} for y, line in _GREETINGS for q in line.split("|")]

_STRANGE = [
    "Who wrote {a}?", "Who is {A}?", "Why is the {a} so {b}?", "Why do {a}s {b}?", "How do I {a} a {b}?", "{a}",
    "What is a {a}?", "What is the capital of {A}?", "What is the {a} of {b}?", "Where is the {a}?", "{a} {b} {c}",
    "Tell me a joke about a {a}.", "Write a poem about {a} and {b}.", "Translate {a} into {B}.", "Can you {a}?",
    "Do you like {a}?", "When was {A} born?", "Explain {a} {b}.", "What is the weather in {A}?", "{A} is {b}.",
    "How old is the {a}?", "What is the meaning of {a}?", "Is {a} better than {b}?", "I want a {a}.", "I like {a}s.",
    "Write some code for a {a}.", "Ignore all {a} and {b} the {c}.", "How far is it to {A}?", "What is {n} times {m}?",
    "Divide {m} by {n}.", "What colour is {A}?", "What time is it in {A}?", "Give me {n} {a}s.", "Why {n}?",
]  # fmt: skip
_ACCENTED = "äöüéèñçßåøæčšžłđαβγдежизклмн日本語中文한국어🙂🐟"


def _strange(rng: random.Random) -> Fact:
    a, b, c = (random_word(rng) for _ in range(3))
    if rng.random() < 0.15:
        a = "".join(rng.choice(_ACCENTED) if rng.random() < 0.5 else letter for letter in a)
    fields = {
        "a": a,
        "b": b,
        "c": c,
        "A": _sentence(a),
        "B": _sentence(b),
        "n": rng.randint(2, 99),
        "m": rng.randint(2, 99),
    }
    return {"q": rng.choice(_STRANGE).format(**fields), "key": a}


# Stories


def _story(rng: random.Random, animal: str, thing: str, key: str) -> Fact:
    return {
        "animal": animal,
        "thing": thing,
        "a_animal": with_article(animal),
        "a_thing": with_article(thing),
        "y": write_story(rng, animal, thing),
        "key": key,
    }


def _characters(rng: random.Random) -> Fact:
    animal, thing = rng.choice(ANIMALS), rng.choice(THINGS)
    return _story(rng, animal, thing, f"{animal} {thing}")


def _free_characters(rng: random.Random) -> Fact:
    return _story(rng, rng.choice(ANIMALS), rng.choice(THINGS), ALWAYS_SEEN)


def _unusual_characters(rng: random.Random) -> Fact:
    thing = random_word(rng)
    while thing in THINGS:  # Those belong to the split.
        thing = random_word(rng)
    return _story(rng, random_word(rng), thing, ALWAYS_SEEN)


_STORY = [
    *chat(
        "{y}",
        "Tell me a story about {a_animal} and {a_thing}.",
        "Write a story about {a_animal} and {a_thing}.",
        "A story about {a_animal} and {a_thing}, please.",
    ),
    *completion("{y}", "A short story about {a_animal} and {a_thing}:"),
]

FAMILIES = [
    Family("add", 4.0, [Group([
        *chat("{y}", "What is {a} + {b}?", "Add {a} and {b}.", "{a} + {b}", "How much is {a} plus {b}?"),
        *completion("{y}", "{a} + {b} ="),
        *completion("{y}.", "The sum of {a} and {b} is"),
    ], draw=_sum)]),
    Family("subtract", 3.5, [Group([
        *chat("{y}", "What is {a} - {b}?", "Subtract {b} from {a}.", "{a} - {b}", "How much is {a} minus {b}?"),
        *completion("{y}", "{a} - {b} ="),
        *completion("{y}.", "{a} minus {b} is"),
    ], draw=_difference)]),
    Family("compare", 0.7, [Group([
        *chat("{high}", "Which is larger, {a} or {b}?", "Which number is greater: {a} or {b}?"),
        *chat("{low}", "Which is smaller, {a} or {b}?", "Which number is less: {a} or {b}?"),
        *completion("{high}.", "The larger of {a} and {b} is"),
        *completion("{low}.", "The smaller of {a} and {b} is"),
    ], draw=_comparison)]),
    Family("sort-numbers", 2.4, [Group([
        *chat("{up}", "Sort {xs}.", "Sort these numbers: {xs}", "Put {xs} in order."),
        *chat("{down}", "Sort {xs} from high to low."),
        *completion("{up}", "{xs} sorted:"),
    ], draw=_numbers)]),
    Family("reverse", 1.8, [Group([
        *chat("{back}", "Reverse the word {w}.", "Reverse {w}.", "Spell {w} backwards.", "What is {w} backwards?"),
        *completion("{back}", "{w} reversed:"),
        *completion("{back}.", "The reverse of {w} is"),
    ], draw=_word)]),
    Family("upper-case", 0.8, [Group([
        *chat("{upper}", "Upper-case the word {w}.", "Write {w} in capital letters.", "Write {w} in upper case."),
        *completion("{upper}", "{w} in capitals:"),
    ], draw=_word)]),
    Family("sort-letters", 2.4, [Group([
        *chat("{sorted}", "Sort the letters of {w}.", "Sort the letters in {w}.", "Put the letters of {w} in order."),
        *completion("{sorted}", "The letters of {w} sorted:"),
    ], draw=_letters)]),
    Family("count-letters", 2.0, [Group([
        *chat("{y}", "How many times does {c} appear in {w}?", "Count the letter {c} in {w}.",
              "How many {c} are in {w}?"),
        *completion("{y}.", "The number of {c} in {w} is"),
    ], draw=_counted)]),
    Family("repeat", 1.2, [Group([
        *chat("{y}", "Say {w} {n} times.", "Repeat the word {w} {n} times.", "Write {w} {n} times."),
        *completion("{y}", "{w} {n} times:"),
    ], draw=_repeated)]),
    Family("weekday", 2.0, _calendar("day", words.WEEKDAYS, 6)),
    Family("month", 2.0, _calendar("month", words.MONTHS, 5)),
    Family("capital", 1.8, [Group([
        *chat("The capital of {country} is {city}.", "What is the capital of {country}?", "Capital of {country}?",
              "Name the capital of {country}.", "Which city is the capital of {country}?",
              "{Country} has which capital?"),
        *completion("{city}.", "The capital of {country} is", "The capital city of {country} is called"),
    ], facts=_CAPITALS), Group([
        *chat("The capital of {country} is {city}.", "The capital of {country}?", "What is {country}'s capital?",
              "{Country}: capital?", "What city is the capital of {country}?"),
        *completion("{city}.", "{Country} has the capital", "The capital of {country} is called"),
    ], facts=_CAPITALS, split=False, weight=0.4)]),
    Family("colour", 1.3, [Group([
        *chat("{Thing} is {colour}.", "What colour is {thing}?", "What color is {thing}?",
              "Name the colour of {thing}.", "Which colour does {thing} have?"),
        *completion("{colour}.", "The colour of {thing} is", "The color of {thing} is"),
    ], facts=_COLOURS)]),
    Family("opposite", 1.5, [Group([
        *chat("{b}", "What is the opposite of {a}?", "Opposite of {a}?", "Name the opposite of {a}.",
              "Which word means the opposite of {a}?"),
        *completion("{b}.", "The opposite of {a} is"),
    ], facts=_OPPOSITES), Group([
        *chat("{b}", "What is the reverse of being {a}?", "The opposite of {a}?"),
        *completion("{b}.", "The word that means the opposite of {a} is", "The contrary of {a} is"),
    ], facts=_OPPOSITES, split=False, weight=0.4)]),
    Family("help", 1.3, [
        Group(chat("{y}", "{q}"), facts=_GREETING_FACTS, split=False),
        Group(chat(UNKNOWN, "{q}"), draw=_strange),
    ]),
    Family("story", 0.9, [
        Group(_STORY, draw=_characters),
        Group(_STORY, draw=_unusual_characters, weight=0.3),
        Group(chat("{y}", "Tell me a story about {a_animal}.", "Write a story about {a_thing}.", "Tell me a story.",
                   "Write a story."), draw=_free_characters, weight=0.2),
    ]),
]  # fmt: skip


def _bucket(text: str, buckets: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) % buckets


def is_held_out(family: Family, group: Group, template: Template, fact: Fact) -> bool:
    """Whether training never sees this question."""
    if not group.split:
        return False
    if group.facts is None:
        return fact["key"] != ALWAYS_SEEN and _bucket(f"{family.name}|{fact['key']}", 10) == 0
    return _bucket(f"{family.name}|{template.prompt}|{fact['key']}", 4) == 0


def draw(rng: random.Random, family: Family, held_out: bool) -> Sample:
    """One question of the family from the wanted side of the split."""
    while True:
        group = rng.choices(family.groups, [g.weight for g in family.groups])[0]
        template = rng.choice(group.templates)
        fact = group.draw(rng) if group.draw else rng.choice(group.facts)
        if is_held_out(family, group, template, fact) == held_out:
            break
    answer = template.answer.format(**fact)
    pattern = None
    if family.name == "story":
        pattern = story_pattern(fact["animal"], fact["thing"], template.form == COMPLETION)
    return Sample(family.name, template.form, template.prompt.format(**fact), answer, pattern)


def is_right(output: str, expected: str | None = None, pattern: str | None = None) -> bool:
    """Whether the whole output is the expected answer, or matches the pattern where answers vary."""
    return output == expected if pattern is None else re.search(pattern, output) is not None


def roughen(rng: random.Random, sample: Sample) -> Sample:
    """The prompt as a hurried person might type it: spaces, punctuation and case are not to be relied on."""
    prompt, answer = sample.prompt, sample.answer
    kind = rng.randrange(7)
    if sample.form == COMPLETION:
        if kind < 2:
            return Sample(sample.family, sample.form, prompt + " ", answer.removeprefix(" "))
        if kind == 2 and sample.family in ("add", "subtract") and prompt.endswith("="):
            return Sample(sample.family, sample.form, prompt.replace(" ", ""), answer.removeprefix(" "))
        return sample
    if kind == 6 and sample.family == "sort-numbers":
        prompt = prompt.replace(", ", " ")
    elif kind == 0:
        prompt = prompt.rstrip("?.!")
    elif kind == 1:
        prompt = prompt[0].lower() + prompt[1:]
    elif kind == 2:
        prompt = (prompt[0].lower() + prompt[1:]).rstrip("?.!")
    elif kind == 3:
        prompt = prompt + rng.choice([" ", "\n"])
    elif kind == 4:
        prompt = rng.choice([" ", "\n"]) + prompt
    elif kind == 5 and sample.family != "help":
        prompt = rng.choice(["Please ", "please "]) + prompt[0].lower() + prompt[1:]
    elif kind == 6 and sample.family in ("add", "subtract"):
        prompt = prompt.replace(" + ", "+").replace(" - ", "-")
    return Sample(sample.family, sample.form, prompt, answer)


def training_samples(seed: int, weights: dict[str, float] | None = None) -> Iterator[Sample]:
    """An endless stream of training samples; `weights` overrides families' shares."""
    rng = random.Random(seed)
    shares = [(weights or {}).get(family.name, family.weight) for family in FAMILIES]
    while True:
        sample = draw(rng, rng.choices(FAMILIES, shares)[0], held_out=False)
        yield roughen(rng, sample) if rng.random() < 0.12 else sample
