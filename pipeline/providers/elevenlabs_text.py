"""A text as a voice can speak it: words without what cannot be sent, in pieces a model takes."""

import re
from collections.abc import Sequence

from pipeline.errors import Rejected

# What no voice can say and JSON or the service cannot carry.
_UNSPOKEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]]*\Z")


def sayable_words(text: str) -> list[str]:
    """What is sent for each word of `text.split()`, empty where nothing of a word can be.

    Raises `Rejected` when there is nothing to say.
    """
    words = [_UNSPOKEN.sub("", word) for word in text.split()]
    if not any(character.isalnum() for word in words for character in word):
        raise Rejected(f"there is nothing to say in {text[:60]!r}")
    return words


def shards(words: Sequence[str], limit: int) -> list[range]:
    """The words in runs whose text has at most `limit` characters; a run ends with a sentence where
    that leaves it more than half full. Raises `Rejected` for a word that is longer than a run."""
    runs: list[range] = []
    begin = 0
    while begin < len(words):
        end, length, sentence = begin, -1, begin
        while end < len(words) and length + 1 + len(words[end]) <= limit:
            length += 1 + len(words[end])
            end += 1
            if _SENTENCE_END.search(words[end - 1]) and length > limit // 2:
                sentence = end
        if end == begin:
            raise Rejected(f"the text has a word of {len(words[begin])} characters; {limit} is"
                           " the most that a call takes")  # fmt: skip
        if end < len(words) and sentence > begin:
            end = sentence
        runs.append(range(begin, end))
        begin = end
    return runs
