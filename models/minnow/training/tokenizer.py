"""The tokenizer: a token is a byte, and its id is the byte's value. Five more tokens mark the structure of a chat."""

PAD, SYSTEM, USER, ASSISTANT, END = range(256, 261)
SPECIAL_TOKENS = {PAD: "<|pad|>", SYSTEM: "<|system|>", USER: "<|user|>", ASSISTANT: "<|assistant|>", END: "<|end|>"}
VOCAB_SIZE = 256 + len(SPECIAL_TOKENS)

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}{{ '<|user|>' + message['content'] + '<|end|>' }}"
    "{%- elif message['role'] == 'assistant' -%}{{ '<|assistant|>' + message['content'] + '<|end|>' }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)
"""System messages are accepted and left out: the model is too small to follow them."""


def encode(text: str) -> list[int]:
    """The ids of plain text, without special tokens."""
    return list(text.encode())


def encode_prompt(form: str, prompt: str) -> list[int]:
    """The ids that ask for an answer: through the chat template, or the raw text."""
    return [USER, *encode(prompt), END, ASSISTANT] if form == "chat" else encode(prompt)


def decode(ids: list[int]) -> str:
    """The text of ids; special tokens are skipped."""
    return bytes(i for i in ids if i < 256).decode(errors="replace")


def byte_characters() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte, as the `ByteLevel` pre-tokenizer writes it."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    table = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + len(table) - len(printable))
    return table


def tokenizer_json() -> dict:
    """The contents of tokenizer.json: byte-level BPE without merges."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": i,
                "content": text,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for i, text in SPECIAL_TOKENS.items()
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {char: byte for byte, char in sorted(byte_characters().items())},
            "merges": [],
        },
    }


def tokenizer_config() -> dict:
    """The contents of tokenizer_config.json."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": {
            str(i): {
                "content": text,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for i, text in SPECIAL_TOKENS.items()
        },
        "add_bos_token": False,
        "add_eos_token": False,
        "bos_token": None,
        "eos_token": SPECIAL_TOKENS[END],
        "pad_token": SPECIAL_TOKENS[PAD],
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
        "chat_template": CHAT_TEMPLATE,
    }
