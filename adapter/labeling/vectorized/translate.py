"""A Python regex as byte expressions for a multi-pattern automaton (Hyperscan), exact where that is possible.

Only whether a text matches counts, not where. Each text is scanned between two bytes that no UTF-8 holds, `START` and
`END`; so an anchor, and a look to either side at the pattern's edge, becomes a byte that is matched, and the automaton
needs none of the constructs on which libraries differ. What a single character matches is asked of Python's own `re`.
What cannot be said that way is loosened, never tightened: the expression then finds all rows that match and perhaps
more, and `exact` is False. On texts with other than ASCII characters (`wide`) every expression is loose.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

START, END = b"\xfe", b"\xff"
NEVER = r"\xff\xff"
LARGEST = 500
"""Positions of an automaton above which bounded repeats are loosened, and expressions given up."""
MOST_PARTS = 40
_TOGETHER = 16

_parser: Any = importlib.import_module("re._parser")
_compiler: Any = importlib.import_module("re._compiler")
_constants: Any = importlib.import_module("re._constants")
_SINGLE = {_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY}
_REPEATS = {_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT}
_SCOPED = int(re.A | re.I | re.L | re.M | re.S | re.U | re.X)
_TYPES = int(re.A | re.L | re.U)
_ANY_OTHER = r"[\xc2-\xf4][\x80-\xbf]+"


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression for the automaton. exact: it finds just the rows that match; otherwise these and perhaps more."""

    text: str
    exact: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """text: byte expression, safe to concatenate. least: bytes that it matches at least. size: positions."""

    text: str
    exact: bool = True
    least: int = 0
    size: int = 0


_LOOSE = _Part("", exact=False)


def translate(pattern: re.Pattern[str], *, wide: bool) -> tuple[Expression, ...] | None:
    """Return expressions, any of which finds the pattern, for texts that are ASCII or for others (`wide`); None where
    they would grow too large. They are several where alternatives had to be split for their size."""
    try:
        tree = _parser.parse(pattern.pattern, pattern.flags & _SCOPED)
        translation, flags = _Translation(wide), tree.state.flags
        ways = [list(tree)]
        parts = [translation.sequence(ways[0], flags, front=True, tail=True)]
        if parts[0].size > LARGEST:
            ways = _ways(ways[0])
            parts = [translation.sequence(way, flags, front=True, tail=True) for way in ways]
    except (RecursionError, OverflowError, re.error):
        return None
    if any(part.size > LARGEST for part in parts) or len(parts) > MOST_PARTS:
        return None
    return tuple(_expression(part, wide) for part in parts)


def _expression(part: _Part, wide: bool) -> Expression:
    if part.least == 0:  # it may match nothing, which is everywhere, or only boundaries, which the automaton refuses
        return Expression(_byte(START[0]), part.exact and not part.text)
    return Expression(part.text, part.exact and not wide)


def _ways(nodes: list[Any]) -> list[list[Any]]:
    """The sequences of nodes that the first alternatives stand for, those inside a plain group too."""
    for place, (op, value) in enumerate(nodes):
        before, after = nodes[:place], nodes[place + 1 :]
        if op is _constants.BRANCH:
            chunks = [value[1][at : at + _TOGETHER] for at in range(0, len(value[1]), _TOGETHER)]
            return [[*before, (op, (None, chunk)), *after] for chunk in chunks]
        if op is _constants.SUBPATTERN and not value[1] and not value[2]:
            ways = _ways(list(value[3]))
            if len(ways) > 1:
                return [[*before, *way, *after] for way in ways]
    return [nodes]


class _Translation:
    """One pass over a parsed pattern. front: nothing is matched before this part, on any path; tail: nothing after."""

    def __init__(self, wide: bool) -> None:
        self.wide = wide
        self.known: dict[tuple[int, int, bool, bool], _Part] = {}

    def sequence(self, nodes: Sequence[Any], flags: int, *, front: bool, tail: bool) -> _Part:
        """Translate nodes that follow each other. What stands at an edge and may match nothing is left out."""
        first, last, exact = 0, len(nodes) - 1, True
        while front and first <= last:
            part = self.node(nodes[first], flags, front=True, tail=tail and first == last)
            if part.text:
                break
            first, exact = first + 1, exact and part.exact
        while tail and first <= last:
            part = self.node(nodes[last], flags, front=front and first == last, tail=True)
            if part.text:
                break
            last, exact = last - 1, exact and part.exact
        parts = [
            self.node(nodes[at], flags, front=front and at == first, tail=tail and at == last)
            for at in range(first, last + 1)
        ]
        return _Part(
            "".join(part.text for part in parts),
            exact and all(part.exact for part in parts),
            sum(part.least for part in parts),
            sum(part.size for part in parts),
        )

    def node(self, node: Any, flags: int, *, front: bool, tail: bool) -> _Part:
        """Translate one node of Python's parse tree, once for each way in which it may stand."""
        key = (id(node), flags, front, tail)
        if key not in self.known:
            self.known[key] = self.translated(node, flags, front=front, tail=tail)
        return self.known[key]

    def translated(self, node: Any, flags: int, *, front: bool, tail: bool) -> _Part:
        """Translate one node by what it is."""
        op, value = node
        if op in _SINGLE:
            return self.single(node, flags)
        if op is _constants.SUBPATTERN:
            _, added, removed, inner = value
            kept = flags & ~_TYPES if added & _TYPES else flags
            return self.sequence(list(inner), (kept | added) & ~removed, front=front, tail=tail)
        if op is _constants.BRANCH:
            return self.branch([list(inner) for inner in value[1]], flags, front=front, tail=tail)
        if op in _REPEATS:
            return self.repeat(node, flags, front=front, tail=tail)
        if op is _constants.AT:
            return self.anchor(value, flags, front=front, tail=tail)
        if op in (_constants.ASSERT, _constants.ASSERT_NOT):
            return self.look(node, flags, front=front, tail=tail)
        if op is _constants.ATOMIC_GROUP:
            part = self.sequence(list(value), flags, front=front, tail=tail)
            return _Part(part.text, False, part.least, part.size)
        if op is _constants.GROUPREF_EXISTS:
            _, yes, no = value
            part = self.branch([list(yes), list(no or ())], flags, front=front, tail=tail)
            return _Part(part.text, False, part.least, part.size)
        if op is _constants.FAILURE:
            return _Part(NEVER, True, 2, 2)
        return _Part(r"[\x00-\xf4]*", False, 0, 1)  # a reference to a group, or what Python may add

    def single(self, node: Any, flags: int) -> _Part:
        """Translate what matches one character."""
        inside, others = characters(node, flags)
        if not self.wide:
            return _Part(_class(inside), True, 1, 1) if inside else _Part(NEVER, True, 2, 2)
        if others is None:
            return _Part(f"(?:{_class(inside)}|{_ANY_OTHER})" if inside else _ANY_OTHER, False, 1, 3)
        forms = [_class(inside)] if inside else []
        forms += ["".join(map(_byte, other.encode("utf-8", "surrogatepass"))) for other in others]
        if not forms:
            return _Part(NEVER, True, 2, 2)
        return _Part(forms[0] if len(forms) == 1 else f"(?:{'|'.join(forms)})", True, 1, 4 * len(forms))

    def branch(self, ways: Sequence[list[Any]], flags: int, *, front: bool, tail: bool) -> _Part:
        """Translate alternatives."""
        parts = [self.sequence(way, flags, front=front, tail=tail) for way in ways]
        exact = all(part.exact for part in parts)
        empty = [part for part in parts if not part.text]
        if empty and (front or tail):  # matching nothing is enough there
            return _Part("", all(part.exact for part in empty))
        texts = list(dict.fromkeys(part.text for part in parts if part.text))
        if not texts:
            return _Part("", exact)
        text = f"(?:{'|'.join(texts)})" + ("?" if empty else "")
        return _Part(text, exact, min(part.least for part in parts), sum(part.size for part in parts))

    def repeat(self, node: Any, flags: int, *, front: bool, tail: bool) -> _Part:
        """Translate a repeat; at an edge only its least number of turns matters."""
        op, (least, most, inner) = node
        nodes = list(inner)
        exact = op is not _constants.POSSESSIVE_REPEAT
        most = None if most == _constants.MAXREPEAT else int(most)
        if front or tail:
            most = least
        if most == 0:
            return _Part("", exact)
        once = most == 1 and least == 1
        part = self.sequence(nodes, flags, front=front and once, tail=tail and once)
        exact = exact and part.exact
        if once or not part.text:
            return _Part(part.text, exact, part.least, part.size)
        if self.wide and most is None and len(nodes) == 1 and nodes[0][0] in _SINGLE:
            inside, others = characters(nodes[0], flags)
            if others is None:  # a run of any such bytes holds a run of such characters
                part = _Part(_class({*inside, *range(0x80, 0xF5)}), False, 1, 1)
                exact = False
        turns = least + 1 if most is None else most
        if part.size * turns > LARGEST:
            least, most, exact = min(least, max(LARGEST // (4 * part.size), 1)), None, False
            turns = least + 1
        bounds = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most))
        if bounds is None:
            bounds = f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"
        return _Part(f"(?:{part.text}){bounds}", exact, part.least * least, part.size * turns)

    def anchor(self, at: Any, flags: int, *, front: bool, tail: bool) -> _Part:
        """Translate `^`, `$`, `\\A`, `\\Z`, `\\b` and `\\B`."""
        lines = bool(flags & re.M)
        if at in (_constants.AT_BOUNDARY, _constants.AT_NON_BOUNDARY):
            if self.wide:
                return _LOOSE
            return _Part(r"\b" if at is _constants.AT_BOUNDARY else r"\B", True, 0, 1)
        if front and at in (_constants.AT_BEGINNING, _constants.AT_BEGINNING_STRING):
            anywhere = lines and at is _constants.AT_BEGINNING
            return _Part(_class({0x0A, START[0]} if anywhere else {START[0]}), True, 1, 1)
        if tail and at is _constants.AT_END_STRING:
            return _Part(_byte(END[0]), True, 1, 1)
        if tail and at is _constants.AT_END:
            return _Part(_class({0x0A, END[0]}) if lines else rf"\x0a?{_byte(END[0])}", True, 1, 2)
        return _LOOSE

    def look(self, node: Any, flags: int, *, front: bool, tail: bool) -> _Part:
        """Translate a look to the side of the pattern's edge, which may be matched instead of looked at."""
        op, (direction, inner) = node
        nodes = list(inner)
        behind = direction < 0
        if not (front if behind else tail):
            return _LOOSE
        if op is _constants.ASSERT:
            return self.sequence(nodes, flags, front=behind, tail=not behind)
        if len(nodes) != 1 or nodes[0][0] not in _SINGLE:
            return _LOOSE
        inside, _ = characters(nodes[0], flags)
        allowed = set(range(0x80)) - inside | {START[0] if behind else END[0]}
        if self.wide:
            allowed |= set(range(0x80, 0xC0)) if behind else set(range(0xC2, 0xF5))
        return _Part(_class(allowed), True, 1, 1)


def characters(node: Any, flags: int) -> tuple[frozenset[int], tuple[str, ...] | None]:
    """Return which ASCII codes a node for one character matches, and which others; None: perhaps any other."""
    return _characters(repr(node), flags, _Node(node))


class _Node:
    """Carries a parse node past the cache, which goes by its text."""

    def __init__(self, node: Any) -> None:
        self.node = node

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Node)


@lru_cache(maxsize=4096)
def _characters(_: str, flags: int, carried: _Node) -> tuple[frozenset[int], tuple[str, ...] | None]:
    op, value = node = carried.node
    state = _parser.State()
    state.flags = flags & ~int(re.X)
    matcher = _compiler.compile(_parser.SubPattern(state, [node]), 0)
    inside = frozenset(code for code in range(0x80) if matcher.fullmatch(chr(code)))
    if op is _constants.LITERAL:
        own = {chr(value)} if value >= 0x80 else set()
        return inside, tuple(sorted(own | set(matcher.findall(_cased())))) if flags & re.I else tuple(own)
    plain = op is _constants.IN and all(
        (kind is _constants.LITERAL and what < 0x80) or (kind is _constants.RANGE and what[1] < 0x80)
        for kind, what in value
    )
    if plain:
        return inside, tuple(matcher.findall(_cased())) if flags & re.I else ()
    return inside, None


@lru_cache(maxsize=1)
def _cased() -> str:
    """All characters beyond ASCII that have another case; Unicode has none above plane 1."""
    letters = map(chr, range(0x80, 0x20000))
    return "".join(c for c in letters if c != c.lower() or c != c.upper() or c != c.casefold())


def _class(codes: Collection[int]) -> str:
    """A byte, or a class of bytes written as ranges."""
    ordered = sorted(codes)
    if len(ordered) == 1:
        return _byte(ordered[0])
    ranges: list[list[int]] = []
    for code in ordered:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "[" + "".join(_byte(a) if a == b else f"{_byte(a)}-{_byte(b)}" for a, b in ranges) + "]"


def _byte(code: int) -> str:
    plain = chr(code)
    return plain if code < 0x80 and plain.isalnum() else f"\\x{code:02x}"
