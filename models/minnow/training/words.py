"""Word lists and tables that the task generator draws from."""

import random

REAL_WORDS = """
ant apple arrow autumn badger bag ball banana barn basket beach bean bear bee bell bench berry bird blanket boat book
boot bottle bowl box bread brick bridge broom brush bucket bug bus butter button cabin cake camel candle candy car
carpet carrot castle cat chair chalk cheese cherry chess child church circle city clay clock cloud clover coat coin
cold comet cook copper corn cotton cow crab cradle crow crown cup curtain dance deer desk dinner dog dolphin donkey
door dragon dream dress drum duck dust eagle ear earth egg elbow engine evening eye fable falcon farm feather fern
ferry field finger fire fish flag flame floor flower flute fog forest fork fox friend frog fruit garden gate ghost
giant glass glove goat gold goose grape grass green hammer harbor harp hat hawk hay heart hen hill honey hook
horse house ice ink iron island ivory jacket jam jar jelly jewel juice kettle key king kite kitten knee knife ladder
lake lamb lamp lantern leaf lemon letter light lily lion lizard love magnet map maple marble market meadow melon milk
minnow mirror mitten model monkey moon moose morning moss mouse music nail needle nest night noodle north nut oak
ocean olive onion orange otter oven owl paint panda paper parrot path peach pear pebble pen pencil penguin pepper
piano pig pillow pine pizza planet plate plum pocket pond pony potato prince pumpkin puppet puppy queen queue rabbit
radio rain raven redis ribbon rice ring river road robin robot rock rocket roof rope rose rubber sail salt sand
school sea seal seed shadow sheep shell ship shoal shoe silver sister sky snail snow soap sock song soup spider spoon
spring squid star stone storm street sugar summer sun swan table tea tent thumb tiger toast tomato tower town train
tree trout tulip turtle valley velvet village violin walnut water whale wheat wheel willow wind window winter wolf
wood wool yard yellow zebra
""".split()

CAPITALS = {
    "Argentina": "Buenos Aires", "Australia": "Canberra", "Austria": "Vienna", "Belgium": "Brussels",
    "Brazil": "Brasilia", "Bulgaria": "Sofia", "Canada": "Ottawa", "China": "Beijing", "Croatia": "Zagreb",
    "Cuba": "Havana", "Denmark": "Copenhagen", "Egypt": "Cairo", "Finland": "Helsinki", "France": "Paris",
    "Germany": "Berlin", "Greece": "Athens", "Hungary": "Budapest", "Iceland": "Reykjavik", "India": "New Delhi",
    "Ireland": "Dublin", "Italy": "Rome", "Japan": "Tokyo", "Kenya": "Nairobi", "Latvia": "Riga",
    "Mexico": "Mexico City", "Morocco": "Rabat", "Norway": "Oslo", "Peru": "Lima", "Poland": "Warsaw",
    "Portugal": "Lisbon", "Romania": "Bucharest", "Russia": "Moscow", "Serbia": "Belgrade", "Spain": "Madrid",
    "Sweden": "Stockholm", "Switzerland": "Bern", "Turkey": "Ankara", "Ukraine": "Kyiv",
    "the Netherlands": "Amsterdam", "the United Kingdom": "London", "the United States": "Washington",
}  # fmt: skip

COLOURS = {
    "a lemon": "yellow", "a banana": "yellow", "the sun": "yellow", "a canary": "yellow", "butter": "yellow",
    "grass": "green", "a frog": "green", "a leaf": "green", "a cucumber": "green", "a pea": "green",
    "broccoli": "green", "the sky": "blue", "the sea": "blue", "a sapphire": "blue", "denim": "blue",
    "snow": "white", "milk": "white", "a swan": "white", "salt": "white", "cotton": "white", "flour": "white",
    "coal": "black", "a raven": "black", "ink": "black", "a panther": "black", "a tyre": "black",
    "a tomato": "red", "a strawberry": "red", "a ruby": "red", "blood": "red", "a fire engine": "red",
    "a cherry": "red", "a carrot": "orange", "a pumpkin": "orange", "an orange": "orange", "an apricot": "orange",
    "chocolate": "brown", "a chestnut": "brown", "coffee": "brown", "a flamingo": "pink", "a pig": "pink",
    "an elephant": "grey", "ash": "grey", "lavender": "purple", "an aubergine": "purple", "a plum": "purple",
}  # fmt: skip

OPPOSITES = [
    ("hot", "cold"), ("big", "small"), ("up", "down"), ("left", "right"), ("day", "night"), ("open", "closed"),
    ("fast", "slow"), ("high", "low"), ("old", "young"), ("rich", "poor"), ("full", "empty"), ("wet", "dry"),
    ("light", "dark"), ("loud", "quiet"), ("happy", "sad"), ("hard", "soft"), ("near", "far"), ("early", "late"),
    ("strong", "weak"), ("clean", "dirty"), ("true", "false"), ("first", "last"), ("win", "lose"), ("buy", "sell"),
    ("front", "back"), ("thick", "thin"), ("wide", "narrow"), ("sharp", "blunt"), ("above", "below"),
    ("inside", "outside"), ("summer", "winter"), ("north", "south"), ("east", "west"), ("push", "pull"),
]  # fmt: skip

WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()

_ONSETS = "b c d f g h j k l m n p r s t v w z br ch cl cr dr fl fr gl gr pl pr sh sk sl sn sp st th tr qu x y".split()
_VOWELS = "a e i o u a e i o ai ea ee oo ou".split()
_CODAS = ["", "", "", "b", "d", "g", "k", "l", "m", "n", "p", "r", "s", "t", "x", "ll", "nd", "ng", "nt", "ss", "st"]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def random_word(rng: random.Random, low: int = 3, high: int = 8) -> str:
    """A lower-case word of `low`..`high` letters: a real one, a pronounceable one, or plain random letters."""
    kind = rng.random()
    while True:
        if kind < 0.35:
            word = rng.choice(REAL_WORDS)
        elif kind < 0.75:
            word = "".join(
                rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(rng.randint(1, 3))
            )
        else:
            alphabet = _LETTERS if rng.random() < 0.7 else rng.sample(_LETTERS, 4)
            word = "".join(rng.choice(alphabet) for _ in range(rng.randint(low, high)))
        if low <= len(word) <= high:
            return word
