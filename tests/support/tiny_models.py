"""Tiny models built on the spot: a config, random weights, a tokenizer trained on a few texts. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

WORDS = (
    "win a free phone now cash prize click claim your voucher today cheap pills delivery see you at dinner tonight the "
    "meeting moved to monday thanks for lovely evening call mother please hello world anna smith lives in paris berlin "
    "visits London works for Acme and lives with Maria Jones near Oslo ok so well oh yes hi it is cold warm here"
)


def tiny_bert(
    folder: Path, texts: Sequence[str] = (WORDS,), *, hidden: int = 32, layers: int = 2, positions: int = 64
) -> Path:
    """Write a BERT with random weights and a WordPiece tokenizer into a new folder; return it."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    normalizer, cutter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    alphabet = [chr(code) for code in range(33, 127)]
    # whole words and single letters: a trained vocabulary is another one in each process
    words = [word for text in texts for word, _ in cutter.pre_tokenize_str(normalizer.normalize_str(text))]
    pieces = dict.fromkeys([*special, *alphabet, *(f"##{sign}" for sign in alphabet), *words])
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, cutter
    ends = [("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=positions,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=2,
            intermediate_size=2 * hidden,
            max_position_embeddings=positions,
        )
        BertModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def tiny_roberta(folder: Path, texts: Sequence[str] = (WORDS,), *, hidden: int = 32) -> Path:
    """Write a RoBERTa with random weights and a byte-level BPE tokenizer into a new folder; return it."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    cutter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces = dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())])
    merges: dict[tuple[str, str], None] = {}
    for word, _ in (pair for text in texts for pair in cutter.pre_tokenize_str(text)):
        for end in range(1, len(word)):  # letter by letter, up to the whole word
            merges[word[:end], word[end]] = None
            pieces[word[: end + 1]] = None
    tokenizer = Tokenizer(models.BPE({piece: n for n, piece in enumerate(pieces)}, list(merges)))
    tokenizer.pre_tokenizer, tokenizer.decoder = cutter, decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>"))
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = RobertaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=hidden,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=2 * hidden,
            max_position_embeddings=66,
            pad_token_id=1,
        )
        RobertaModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
