from pathlib import Path

import pytest

from apograph.behaviour.ask import ask
from apograph.behaviour.ask_local import LocalModel
from apograph.behaviour.items import read_items
from apograph.findings import Refusal
from tests.behaviour.write import jsonl, read_file


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama whose tokens are single letters."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("model") / "tiny"
    vocab = {sign: n for n, sign in enumerate(["<s>", "</s>", "?", *"abcdefghijklmnopqrstuvwxyz \n"])}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocab, unk_token="?"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    words.decoder = tokenizers.decoders.Fuse()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="?"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(vocab), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_a_local_model_answers_greedily_and_the_same_twice(model: Path, tmp_path: Path) -> None:
    items = read_items(jsonl(tmp_path / "i.jsonl", [{"item": n, "prompt": f"q {n}"} for n in "abc"]))
    found = []
    for run in range(2):
        out = tmp_path / f"{run}.jsonl"
        assert ask(LocalModel(model, 8), items, tmp_path, out, concurrency=run + 1).answered == 3
        found.append({r.item: (r.answer, r.margin) for r in read_file(out)})
    assert found[0] == found[1]
    assert all(margin is not None and margin >= 0 for _, margin in found[0].values())
    assert '"revision":"' in (tmp_path / "0.jsonl").read_text()


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "custom", "auto_map": {"AutoModel": "evil.Model"}}')
    with pytest.raises(Refusal) as caught:
        LocalModel(tmp_path)
    assert caught.value.code == 3
