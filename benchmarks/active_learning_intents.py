"""Many-class data of our own making: what people write to a bank, by intent. Free of anybody's licence.

An intent is a subject (a card, a transfer) and what is the matter with it (it is late, what it costs), so that each
intent has neighbours that differ by one thing, as in real intent data. Texts vary by wording, slots, politeness, typing
errors and length; some intents are ten times as frequent as others; some texts are near-copies of an earlier one, as
from people who send their message twice; a few say less than they mean, so that nobody could tell two intents apart.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SUBJECTS: dict[str, tuple[str, ...]] = {
    "card": ("my card", "the debit card", "my bank card", "the new card", "my visa"),
    "transfer": (
        "my transfer",
        "the bank transfer",
        "the money I sent",
        "a wire to {name}",
        "my payment to {name}",
    ),
    "top_up": ("my top-up", "topping up", "the money I added", "loading my balance", "the top up by {way}"),
    "cash": ("a cash withdrawal", "the ATM", "the cash machine in {town}", "taking out {sum}", "getting cash"),
    "exchange": (
        "changing currency",
        "the exchange to {coin}",
        "my {coin} conversion",
        "buying {coin}",
        "changing money",
    ),
    "refund": (
        "my refund",
        "the money back from {shop}",
        "a reimbursement",
        "the return from {shop}",
        "what {shop} owes me",
    ),
    "debit": (
        "a direct debit",
        "the standing order",
        "my monthly bill for {shop}",
        "a regular payment",
        "the autopay",
    ),
    "loan": ("my loan", "the credit I took", "my instalment", "the mortgage", "borrowing {sum}"),
    "savings": ("my savings", "the savings pot", "my deposit account", "the interest account", "money I put aside"),
    "identity": ("my identity check", "verifying who I am", "the passport photo", "my ID document", "the selfie step"),
    "app": ("the app", "logging in", "my phone app", "the mobile login", "the website"),
    "statement": ("my statement", "the monthly summary", "a list of payments", "the PDF of my account", "my records"),
}
MATTERS: dict[str, tuple[str, ...]] = {
    "late": (
        "{it} is still not there",
        "why does {it} take so long",
        "I have been waiting {time} for {it}",
        "{it} is pending since {day}",
        "when will {it} be done",
        "{it} has not come through yet",
    ),
    "fails": (
        "{it} does not work",
        "{it} was declined",
        "I get an error with {it}",
        "{it} keeps failing",
        "something is wrong with {it}",
        "{it} was rejected at {shop}",
    ),
    "cost": (
        "what does {it} cost",
        "why was I charged for {it}",
        "is there a fee for {it}",
        "{sum} was taken as a fee for {it}",
        "how expensive is {it}",
        "the charge for {it} is too high",
    ),
    "limit": (
        "what is the most I can do with {it}",
        "is there a limit on {it}",
        "I reached the limit of {it}",
        "please raise the limit for {it}",
        "how often may I use {it} in a {span}",
        "the maximum for {it} is too low",
    ),
    "stop": (
        "please cancel {it}",
        "I want to stop {it}",
        "how do I end {it}",
        "{it} was a mistake, undo it",
        "I no longer want {it}",
        "can you block {it}",
    ),
}
SLOTS: dict[str, tuple[str, ...]] = {
    "name": ("Anna", "Mr Okoro", "my sister", "Jun", "the plumber", "Lena Vogel"),
    "town": ("Oslo", "Lyon", "Porto", "Leeds", "Graz", "the airport"),
    "shop": ("a bookshop", "the gym", "an online store", "the hotel", "a grocer", "the garage"),
    "coin": ("dollars", "euros", "yen", "pounds", "francs", "zloty"),
    "sum": ("20", "35.50", "100", "1,200", "480", "9.99"),
    "way": ("bank card", "cheque", "transfer", "phone"),
    "time": ("two days", "a week", "since Monday", "ages", "three weeks"),
    "day": ("Monday", "last week", "the 3rd", "yesterday", "Friday"),
    "span": ("day", "week", "month"),
}
OPENINGS = (
    "",
    "",
    "",
    "hi, ",
    "hello there, ",
    "good morning. ",
    "sorry to ask but ",
    "urgent: ",
    "help! ",
    "also, ",
)
CLOSINGS = ("", "", "", "", " please", " thanks", "?", "??", ", can you look into it?", " I am in {town} right now.")
VAGUE = ("{it}?", "a question about {it}", "{it} again...", "can somebody help me with {it}")
INTENTS = tuple(f"{subject}_{matter}" for subject in SUBJECTS for matter in MATTERS)

ROWS = 5_000
COPIES = 0.12
UNCLEAR = 0.02
TYPOS = 0.25


def intents(rows: int = ROWS, seed: int = 20) -> Iterator[tuple[str, str]]:
    """Yield (text, intent), `rows` of them; the same for the same seed."""
    random = np.random.default_rng(seed)
    weight = random.permutation(np.geomspace(1.0, 0.1, len(INTENTS)))
    share = weight / weight.sum()
    made: list[tuple[str, str]] = []
    while len(made) < rows:
        if made and random.random() < COPIES:
            text, intent = made[int(random.integers(len(made)))]
            made.append((_retyped(text, random), intent))
        else:
            intent = INTENTS[int(random.choice(len(INTENTS), p=share))]
            made.append((_text(intent, random), intent))
    yield from made


def _text(intent: str, random: np.random.Generator) -> str:
    subject, _, matter = intent.rpartition("_")
    wording = VAGUE if random.random() < UNCLEAR else MATTERS[matter]
    text = _one(wording, random).replace("{it}", _one(SUBJECTS[subject], random))
    text = _one(OPENINGS, random) + text + _one(CLOSINGS, random)
    while "{" in text:
        name = text[text.index("{") + 1 : text.index("}")]
        text = text.replace("{" + name + "}", _one(SLOTS[name], random), 1)
    return _mistyped(text, random) if random.random() < TYPOS else text


def _retyped(text: str, random: np.random.Generator) -> str:
    """Return the message as somebody would send it a second time."""
    turn = int(random.integers(4))
    if turn == 0:
        return text.rstrip("?!. ") + "!"
    if turn == 1:
        return text.lower()
    return _mistyped(text, random) if turn == 2 else f"{text} {_one(('pls', 'hello?', 'any news?'), random)}"


def _mistyped(text: str, random: np.random.Generator) -> str:
    """Return the text with a letter left out, doubled or swapped with the next."""
    place = int(random.integers(max(1, len(text) - 2)))
    kind = int(random.integers(3))
    if kind == 0:
        return text[:place] + text[place + 1 :]
    if kind == 1:
        return text[:place] + text[place] + text[place:]
    return text[:place] + text[place + 1 : place + 2] + text[place : place + 1] + text[place + 2 :]


def _one(choices: tuple[str, ...], random: np.random.Generator) -> str:
    return choices[int(random.integers(len(choices)))]
