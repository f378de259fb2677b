"""The embeddings model of `make embeddings`: from its authors' format to answers."""

import json
import math
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from dev.stack import embedder

SIZE, INNER = 32, 64
WORDS = ["the", "lamp", "boat", "##s", "is", "lit"]
CONFIG = {
    "max_position_embeddings": 64,
    "hidden_size": SIZE,
    "intermediate_size": INNER,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}


def shapes(words: int) -> dict[str, list[int]]:
    """A very small BERT."""
    layer = "encoder.layer.0"
    squares = [f"{layer}.attention.self.{name}" for name in ("query", "key", "value")]
    dense = {name: [SIZE, SIZE] for name in (*squares, f"{layer}.attention.output.dense")}
    dense |= {f"{layer}.intermediate.dense": [INNER, SIZE], f"{layer}.output.dense": [SIZE, INNER]}
    norms = ("embeddings", f"{layer}.attention.output", f"{layer}.output")
    return {
        "embeddings.word_embeddings.weight": [words, SIZE],
        "embeddings.token_type_embeddings.weight": [2, SIZE],
        "embeddings.position_embeddings.weight": [64, SIZE],
        "pooler.dense.weight": [SIZE, SIZE],
        **{f"{name}.weight": shape for name, shape in dense.items()},
        **{f"{name}.bias": shape[:1] for name, shape in dense.items()},
        **{f"{name}.LayerNorm.{kind}": [SIZE] for name in norms for kind in ("weight", "bias")},
    }


def archive(folder: Path) -> Path:
    """The model as its authors would publish it."""
    chance = random.Random(1)  # noqa: S311 - nothing secret
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    numbers = b""
    for name, shape in shapes(len(tokens)).items():
        values = [chance.gauss(0, 0.5) for _ in range(math.prod(shape))]
        data = struct.pack(f"<{len(values)}f", *values)
        offsets = [len(numbers), len(numbers) + len(data)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
        numbers += data
    head = json.dumps(header).encode()
    vocabulary = {token: number for number, token in enumerate(tokens)}
    path = folder / "model.zip"
    with zipfile.ZipFile(path, "w") as files:
        files.writestr("config.json", json.dumps(CONFIG))
        files.writestr("tokenizer.json", json.dumps({"model": {"vocab": vocabulary}}))
        files.writestr("model.safetensors", struct.pack("<Q", len(head)) + head + numbers)
    return path


def test_a_published_model_answers_like_openai(tmp_path: Path) -> None:
    model = tmp_path / "made" / "model.gguf"
    embedder.convert(archive(tmp_path), model)
    server = embedder.serve(model, 0)
    texts = ["The lamp is lit", "the boats", "THE LAMP IS LIT", "boat ##s the"]
    answer = httpx.post(
        f"{server.listening_address}/v1/embeddings", json={"input": texts}, trust_env=False
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    entries = sorted(answer.json()["data"], key=lambda entry: entry["index"])
    lamp, boats, loud, other = [entry["embedding"] for entry in entries]
    assert len(lamp) == SIZE
    assert math.hypot(*boats) == pytest.approx(1, abs=1e-4)
    assert lamp == pytest.approx(loud, abs=1e-4)
    assert max(abs(a - b) for a, b in zip(lamp, boats, strict=True)) > 0.01
    assert max(abs(a - b) for a, b in zip(boats, other, strict=True)) > 0.01


def test_without_its_package_it_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="make embeddings"):
        embedder.model_package()
