"""A small corpus of support mails, written for this project: fragments by hand, put together by a seeded draw.

Some mails mention a second topic in passing, as real ones do, so that keywords alone do not settle them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

LABELS = ("billing", "technical", "shipping", "other")

OPENINGS = (
    "Hello,",
    "Hi there,",
    "Good morning,",
    "Dear team,",
    "To whom it may concern,",
    "Hey,",
    "Hello again,",
    "",
)

CLOSINGS = (
    "Thanks in advance.",
    "Please get back to me soon.",
    "Best regards",
    "I would appreciate an answer this week.",
    "Kind regards",
    "Thank you for your help.",
    "Looking forward to your reply.",
    "",
)

CORES: dict[str, tuple[str, ...]] = {
    "billing": (
        "I was charged twice for my subscription in {month}.",
        "The invoice for {month} shows {amount} although my plan costs less.",
        "Could you send me a copy of the invoice from {month}? My accountant needs it.",
        "My refund of {amount} has still not reached my account.",
        "I want to change the card that my subscription is paid with.",
        "Why did the price of my plan go up to {amount}?",
        "The payment page says that my card was declined, but the bank shows {amount} as paid.",
        "Please cancel the automatic renewal before I am charged again in {month}.",
        "The discount that you promised me is missing on the bill.",
        "Our company needs its tax number on the receipt for {month}.",
        "I returned the {item} and am still waiting for my money.",
        "You debited {amount} for something I never ordered.",
        "Can I pay for the whole year at once, and what would that cost me?",
        "There is a late fee of {amount} on my statement, and I paid on time.",
    ),
    "technical": (
        "The app closes by itself whenever I open the {screen}.",
        "Since the update in {month} I cannot log in any more.",
        "The {screen} stays white and nothing happens.",
        "My {item} does not connect to the wireless network.",
        "I get error {code} when I try to save.",
        "The export gives me a file that no program can open.",
        "Resetting the password sends me a link that has expired already.",
        "The {item} restarts every few minutes since I installed the new firmware.",
        "Synchronising between my phone and my laptop has stopped working.",
        "The {screen} takes over a minute to load on a fast connection.",
        "How do I switch on two-step login? The button is greyed out.",
        "Notifications arrive hours late or not at all.",
        "After error {code} all my settings were gone.",
        "The microphone of the {item} is not recognised on my computer.",
    ),
    "shipping": (
        "My parcel with the {item} was due last week and has not arrived.",
        "The tracking number you gave me is unknown to the carrier.",
        "The {item} came with a broken corner; the box was crushed.",
        "Can I still change the delivery address of order {order}?",
        "You sent me the wrong {item}, I ordered the larger one.",
        "Half of order {order} is missing from the box.",
        "The courier says I was not at home, but I was waiting all day.",
        "When will the {item} be dispatched?",
        "Do you deliver to a pick-up point near {city}?",
        "Order {order} has been stuck in customs since {month}.",
        "How do I send the {item} back, and is there a label for the parcel?",
        "The status of order {order} has said 'packed' for ten days.",
        "The driver left the {item} in the rain in front of the door.",
        "Is express delivery to {city} possible before the weekend?",
    ),
    "other": (
        "Do you have an office in {city} that I could visit?",
        "I am a student and writing about your company; may I ask you some questions?",
        "Are there open positions for designers at the moment?",
        "I just wanted to say that your colleague on the phone was wonderful.",
        "Will you bring out a new {item} this year?",
        "Please take me off your newsletter.",
        "Which {item} would you recommend as a present for my father?",
        "We organise a fair in {city} and would like you to take part.",
        "Is the {item} made without animal products?",
        "Your commercial in {month} was in very poor taste.",
        "I would like to become a reseller in {city}.",
        "What are your opening hours around the holidays?",
        "Could you tell me who designed the new logo?",
        "My cat has fallen in love with the box, see the picture.",
    ),
}

ASIDES: dict[str, tuple[str, ...]] = {
    "billing": ("By the way, the last invoice was fine.", "I always pay on time, as you can see."),
    "technical": ("The app works well otherwise.", "No error was shown, in case you wonder."),
    "shipping": ("The delivery itself was quick, thank you for that.", "The parcel arrived in good shape, at least."),
    "other": ("I have recommended you to friends.", "Greetings from {city}!"),
}

FILLS: dict[str, tuple[str, ...]] = {
    "month": ("January", "February", "March", "April", "May", "June", "September", "October", "November"),
    "amount": ("12 euros", "49.90", "8.99", "120 dollars", "35 pounds", "19.95"),
    "item": ("headset", "lamp", "keyboard", "camera", "speaker", "router", "watch", "coffee grinder"),
    "screen": ("calendar", "start page", "settings", "photo album", "report view"),
    "code": ("E17", "502", "0x80", "1001", "NET-4"),
    "order": ("10-4471", "77-0032", "58-9120", "31-2245"),
    "city": ("Lyon", "Porto", "Leeds", "Graz", "Turku", "Ghent"),
}


def support_mails(count: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Yield (text, label) `count` times, no text twice. Raises ValueError when more are wanted than can be told
    apart."""
    dice = np.random.default_rng(seed)
    seen: set[str] = set()
    tries = itertools.count()
    while len(seen) < count:
        if next(tries) > 100 * count + 10_000:
            raise ValueError(f"{count} different mails cannot be made")
        label = LABELS[int(dice.integers(len(LABELS)))]
        parts = [_one(dice, OPENINGS), _one(dice, CORES[label])]
        if dice.random() < 0.3:  # the same topic, more of it
            parts.append(_one(dice, CORES[label]))
        if dice.random() < 0.35:  # another topic in passing
            other = LABELS[int(dice.integers(len(LABELS)))]
            parts.append(_one(dice, ASIDES[other]))
        parts.append(_one(dice, CLOSINGS))
        filled = {name: _one(dice, words) for name, words in FILLS.items()}
        text = " ".join(part for part in parts if part).format(**filled)
        if text not in seen:
            seen.add(text)
            yield text, label


def _one(dice: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(dice.integers(len(words)))]
