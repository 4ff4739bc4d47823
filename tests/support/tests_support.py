"""Test material that several suites share: a spam project, its functions, its rows."""

from __future__ import annotations

SPAM_CONFIG = """<View>
  <Text name="text" value="$text"/>
  <Choices name="spam" toName="text" choice="single">
    <Choice value="spam"/>
    <Choice value="ham"/>
  </Choices>
</View>
"""

SPAM = (
    "subscribe to my channel {n} now",
    "check out my new video number {n}",
    "win free money at www.prize{n}.example",
    "please visit my page {n} for gifts",
)
HAM = (
    "this song number {n} is lovely",
    "I listen to it {n} times a day",
    "the chorus at minute {n} gives me chills",
    "her voice is {n} times better live",
)

FUNCTIONS = '''
from adapter.labeling import labeling_function


@labeling_function
def begs(x):
    """Begging for clicks."""
    return "spam" if any(word in x["text"] for word in ("subscribe", "check out", "visit")) else None


@labeling_function
def link(x):
    """A link."""
    return "spam" if "www." in x["text"] else None


@labeling_function
def music(x):
    """Talks about the music."""
    return "ham" if any(word in x["text"] for word in ("song", "chorus", "voice", "listen")) else None
'''


def spam_rows(count: int) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Return rows with id and text, and gold labels by id."""
    rows, gold = [], {}
    for n in range(count):
        label, texts = ("spam", SPAM) if n % 3 == 0 else ("ham", HAM)
        rows.append({"id": f"c{n}", "text": texts[(n // 3) % 4].format(n=n)})
        gold[f"c{n}"] = label
    return rows, gold
