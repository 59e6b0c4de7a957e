"""Expressions about queries, in the language expr-lang: read once, checked, and then worked out for each query.

Rule: nothing of the host language can be reached; what an expression may name is what ``functions`` holds.
"""

from __future__ import annotations

from . import functions
from .tokens import ExpressionError, Token, tokens, unquoted
from .values import (
    DENIABLE,
    OPERATORS,
    Asked,
    Kind,
    Node,
    UndecidedError,
    constant,
    mismatch,
    number,
    pattern,
    result,
    text,
    truth,
)

_BINDS = {"or": 10, "and": 15, "|": 0} | {symbol: op.binds for symbol, op in OPERATORS.items()}
_DEEPEST = 60  # expressions within each other
_TOO_LARGE = 1 << 63
_MOST = 200  # operators; what ``and`` and ``or`` join does not count
_QUOTES = "a string stands in single quotes, for the Corefile takes double ones away"


def parse(source: str, *, bound: bool = False) -> Node:
    """The expression, checked as far as that can be done without a query; ExpressionError if it is none.

    ``bound`` says that the server it is for listens on single addresses only.
    """
    parser = _Parser(source, bound=bound)
    node = parser.expression()
    if parser.token.kind != "end":
        raise parser.unexpected()
    return node


class _Parser:
    """Reads an expression from left to right: operators by how tightly they bind, the rest by descent."""

    def __init__(self, source: str, *, bound: bool) -> None:
        self._tokens = tokens(source)
        self._next = 0
        self._bound = bound
        self._depth = self._operators = 0
        self._about: list[Kind] = []
        """The kinds of the elements that ``#`` stands for, innermost last."""

    @property
    def token(self) -> Token:
        return self._tokens[self._next]

    def unexpected(self) -> ExpressionError:
        return ExpressionError(f"unexpected {self.token.shown}", self.token.at)

    def _take(self, *texts: str) -> Token | None:
        """The next token if it is one of these signs or words."""
        token = self.token
        if token.kind not in ("sign", "word") or token.text not in texts:
            return None
        self._next += 1
        return token

    def _expect(self, sign: str) -> None:
        if self._take(sign) is None:
            raise ExpressionError(f"expected {sign!r}, found {self.token.shown}", self.token.at)

    def _want(self, kind: Kind, node: Node, at: int, what: str) -> Node:
        if not kind.takes(node.kind):
            raise ExpressionError(f"{what} wants {kind}, found {node.kind}", at)
        return node

    def expression(self, binds: int = 0) -> Node:
        """An expression of operators that bind at least so tightly."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionError("too deep", self.token.at)
        left = self._unary()
        while (symbol := self._operator(binds)) is not None:
            left = self._applied(symbol, left)
        if not binds:
            left = self._choice(left)
        self._depth -= 1
        return left

    def _operator(self, binds: int) -> str | None:
        """The operator that comes next if it binds tightly enough; ``not in`` and its like in one."""
        token = self.token
        symbol = token.text if token.kind in ("sign", "word") else ""
        if symbol == "not" and self._tokens[self._next + 1].text in DENIABLE:
            return "not" if binds <= _BINDS["in"] else None
        return symbol if _BINDS.get(symbol, -1) >= binds else None

    def _applied(self, symbol: str, left: Node) -> Node:
        """What comes of the operator and its right side, the left one being read."""
        at = self.token.at
        self._next += 1
        if symbol in ("and", "or"):
            return self._junction(symbol, left, at)
        self._operators += 1
        if self._operators > _MOST:
            raise ExpressionError(f"more than {_MOST} operators", at)
        if symbol == "|":
            name = self.token
            if name.kind != "word":
                raise self.unexpected()
            self._next += 1
            return self._postfix(self._call(name, left))
        denied = symbol == "not"
        if denied:
            symbol = self.token.text
            self._next += 1
        op = OPERATORS[symbol]
        right = self.expression(op.binds + (not op.rightward))
        node = self._binary(symbol, left, right, at)
        return functions.denied(node) if denied else node

    def _junction(self, symbol: str, left: Node, at: int) -> Node:
        """All that is joined by this ``and`` or ``or``; the rest is not looked at once it is decided."""
        parts = [self._want(Kind.TRUTH, left, at, f"'{symbol}'")]
        while True:
            start = self.token.at
            parts.append(self._want(Kind.TRUTH, self.expression(_BINDS[symbol] + 1), start, f"'{symbol}'"))
            if self._take(symbol) is None:
                break
        if symbol == "and":
            return Node(Kind.TRUTH, lambda asked: all(truth(part.run(asked)) for part in parts))
        return Node(Kind.TRUTH, lambda asked: any(truth(part.run(asked)) for part in parts))

    def _binary(self, symbol: str, left: Node, right: Node, at: int) -> Node:
        if wrong := mismatch(symbol, left, right):
            raise ExpressionError(wrong, at)
        if symbol == "matches" and right.constant:
            try:
                pattern(text(right.value))
            except UndecidedError as error:
                raise ExpressionError(str(error), at) from None
        run = OPERATORS[symbol].run
        element = Kind.INTEGER if symbol == ".." else Kind.ANY
        return Node(result(symbol, left, right), lambda asked: run(left.run(asked), right.run(asked)), element)

    def _choice(self, chosen: Node) -> Node:
        """What follows ``?``, if that follows."""
        at = self.token.at
        if self._take("?") is None:
            return chosen
        self._want(Kind.TRUTH, chosen, at, "'?'")
        yes = chosen if self.token.text == ":" else self.expression()
        self._expect(":")
        no = self.expression()
        kind = yes.kind if yes.kind is no.kind else Kind.NUMBER if Kind.NUMBER.takes(yes.kind) else Kind.ANY
        kind = kind if kind.takes(no.kind) else Kind.ANY
        return Node(kind, lambda asked: (yes if truth(chosen.run(asked)) else no).run(asked))

    def _unary(self) -> Node:
        token = self._take("not", "!", "-", "+")
        if token is None:
            return self._postfix(self._primary())
        if token.text in ("not", "!"):
            return functions.denied(self._want(Kind.TRUTH, self.expression(50), token.at, f"'{token.text}'"))
        node = self._want(Kind.NUMBER, self.expression(90), token.at, f"'{token.text}'")
        sign = -1 if token.text == "-" else 1
        return Node(node.kind, lambda asked: sign * number(node.run(asked)), constant=node.constant)

    def _primary(self) -> Node:
        token = self.token
        if self._take("("):
            node = self.expression()
            self._expect(")")
            return node
        if self._take("["):
            return self._list()
        if self._take("#"):
            if not self._about:
                raise ExpressionError("'#' stands for nothing outside of any(), all() and the like", token.at)
            depth = len(self._about) - 1
            return Node(self._about[-1], lambda asked: asked.elements[depth])
        self._next += 1
        match token.kind:
            case "number":
                return _number(token)
            case "string":
                return constant(Kind.TEXT, unquoted(token))
            case "word" if token.text in ("true", "false"):
                return constant(Kind.TRUTH, token.text == "true")
            case "word" if token.text == "nil":
                return constant(Kind.NOTHING, None)
            case "word" if token.text not in _BINDS:
                return self._call(token)
        self._next -= 1
        raise self.unexpected()

    def _list(self) -> Node:
        nodes = self._until("]")
        kinds = {node.kind for node in nodes}
        kind = kinds.pop() if len(kinds) == 1 else Kind.ANY
        fixed = all(node.constant for node in nodes)
        return Node(Kind.LIST, lambda asked: [node.run(asked) for node in nodes], kind, fixed)

    def _until(self, end: str) -> list[Node]:
        """Expressions with commas between them, up to a closing sign."""
        nodes: list[Node] = []
        while self._take(end) is None:
            if nodes:
                self._expect(",")
                if self._take(end):
                    break
            nodes.append(self.expression())
        return nodes

    def _postfix(self, node: Node) -> Node:
        """The node with the indexes and slices that follow it."""
        while (token := self._take("[")) is not None:
            first = constant(Kind.NOTHING, None) if self.token.text == ":" else self.expression()
            if self._take(":"):
                last = constant(Kind.NOTHING, None) if self.token.text == "]" else self.expression()
                if node.kind not in (Kind.LIST, Kind.TEXT, Kind.ANY):
                    raise ExpressionError(f"no part can be taken of {node.kind}", token.at)
                node = functions.part(node, first, last)
            else:
                self._want(Kind.LIST, node, token.at, "'['")
                self._want(Kind.INTEGER, first, token.at, "'['")
                node = functions.element(node, first)
            self._expect("]")
        return node

    def _call(self, name: Token, piped: Node | None = None) -> Node:
        known = (*functions.PROPERTIES, *functions.FUNCTIONS, *functions.PREDICATES, "incidr", "metadata")
        if name.text not in known:
            raise ExpressionError(f"there is no function {name.text!r}", name.at, _QUOTES)
        self._expect("(")
        if name.text in functions.PREDICATES:
            return self._predicate(name, piped)
        given = [*([piped] if piped else []), *self._until(")")]
        try:
            return self._called(name, given)
        except UndecidedError as error:
            raise ExpressionError(f"{name.text}(): {error}", name.at) from None

    def _called(self, name: Token, given: list[Node]) -> Node:
        if name.text in functions.PROPERTIES:
            self._check(name, given, ())
            return functions.property_of(name.text, bound=self._bound)
        if name.text == "incidr":
            self._check(name, given, (Kind.TEXT, Kind.TEXT))
            return functions.incidr(*given)
        if name.text == "metadata":
            self._check(name, given, (Kind.TEXT,))
            return functions.metadata(*given)
        function = functions.FUNCTIONS[name.text]
        self._check(name, given, function.takes, function.optional)
        element = Kind.TEXT if name.text == "split" else Kind.ANY
        return Node(function.gives, lambda asked: function.run([node.run(asked) for node in given]), element)

    def _check(self, name: Token, given: list[Node], takes: tuple[Kind, ...], optional: int = 0) -> None:
        if not len(takes) - optional <= len(given) <= len(takes):
            raise ExpressionError(f"{name.text}() takes {len(takes)} arguments, found {len(given)}", name.at)
        for kind, node in zip(takes, given, strict=False):
            self._want(kind, node, name.at, f"{name.text}()")

    def _predicate(self, name: Token, piped: Node | None) -> Node:
        held = piped or self.expression()
        self._want(Kind.LIST, held, name.at, f"{name.text}()")
        if piped is None:
            self._expect(",")
        self._about.append(held.element)
        braced = self._take("{")
        said = self.expression()
        if braced:
            self._expect("}")
        self._about.pop()
        self._take(",")
        self._expect(")")
        if name.text != "map":
            self._want(Kind.TRUTH, said, name.at, f"{name.text}()")
        return functions.predicate(name.text, held, said)


def _number(token: Token) -> Node:
    digits = token.text.replace("_", "")
    sixteen = digits[:2] in ("0x", "0X")
    if not sixteen and not digits.isdecimal():
        return constant(Kind.NUMBER, float(digits))
    # As in Go; one of thousands of digits could not even be read.
    found = int(digits, 16 if sixteen else 10) if len(digits.lstrip("0xX")) < 20 else _TOO_LARGE
    if found >= _TOO_LARGE:
        raise ExpressionError("a number of more than 64 bits", token.at)
    return constant(Kind.INTEGER, found)


def decide(node: Node, asked: Asked) -> bool:
    """Whether the expression is true of a query; as in CoreDNS, one without a value is not."""
    try:
        return truth(node.run(asked))
    except (UndecidedError, OverflowError):  # the latter from numbers too large to divide, or to be decimal
        return False
