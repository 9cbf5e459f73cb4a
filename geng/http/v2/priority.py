"""Which stream depends on which: the order in which streams that could send get to send.   RFC 7540 5.3

nginx: ngx_http_v2.c (ngx_http_v2_set_dependency, ngx_http_v2_get_node_by_id)
"""

from __future__ import annotations

from typing import Any

MAX_CLOSED = 32  # streams that are over and kept, for others may depend on them
DEFAULT_WEIGHT = 16


class Node:
    """One stream in the tree. *rank*: its depth; *share*: of the connection, by the weights on the way down."""

    __slots__ = ("children", "id", "parent", "rank", "share", "stream", "weight")

    def __init__(self, id: int) -> None:
        self.id = id
        self.parent: Node | None = None  # None: not in the tree yet
        self.children: list[Node] = []
        self.weight = DEFAULT_WEIGHT
        self.rank = 0
        self.share = 1.0
        self.stream: Any = None

    def __repr__(self) -> str:
        return f"<Node {self.id} rank {self.rank} share {self.share:.3f}>"

    def settle(self) -> None:
        """Rank and share, of this node and all below it, by its parent's."""
        parent = self.parent
        assert parent is not None
        self.rank = parent.rank + 1
        self.share = parent.share / 256 * self.weight
        for child in self.children:
            child.settle()

    def goes_before(self, other: Node) -> bool:
        """Whether this stream's data may overtake *other*'s."""
        return other.rank > self.rank or (other.rank == self.rank and other.share < self.share)


class Tree:
    """The streams of one connection."""

    __slots__ = ("closed", "nodes", "root")

    def __init__(self) -> None:
        self.root = Node(0)
        self.nodes: dict[int, Node] = {}
        self.closed: dict[Node, None] = {}  # without a stream; the longest untouched first

    def __repr__(self) -> str:
        return f"<Tree {len(self.nodes)} nodes, {len(self.closed)} closed>"

    def node(self, id: int) -> Node:
        """The node of a stream, made where there is none."""
        found = self.nodes.get(id)
        if found is None:
            if len(self.closed) >= MAX_CLOSED:
                self._forget(next(iter(self.closed)))
            found = self.nodes[id] = Node(id)
        return found

    def open(self, id: int) -> Node:
        """The node of a new stream; new ones depend on nothing."""
        node = self.node(id)
        if node.parent is None:
            root = self.root
            node.parent = root
            node.rank = 1
            node.share = node.weight / 256
            root.children.append(node)
        else:
            del self.closed[node]
        return node

    def close(self, node: Node) -> None:
        """The stream of *node* is over."""
        node.stream = None
        self.closed[node] = None

    def prefer(self, id: int, weight: int, depend: int, exclusive: bool) -> None:
        """A PRIORITY frame."""
        node = self.node(id)
        node.weight = weight
        if node.stream is None:
            self.closed.pop(node, None)
            self.closed[node] = None
        self.depend(node, depend, exclusive)

    def depend(self, node: Node, on: int, exclusive: bool) -> None:
        """Hang *node* below stream *on*; *exclusive*: the others there go below *node*."""
        parent = self.nodes.get(on) if on else self.root
        if parent is None:  # unknown: of the root, and nobody is pushed away
            parent, exclusive = self.root, False
        elif parent is not self.root:
            if node.parent is not None and self._is_below(parent, node):
                self._lift(parent, node)
            if parent.stream is None:
                self.closed.pop(parent, None)
                self.closed[parent] = None
        if node.parent is not None:
            node.parent.children.remove(node)
        if exclusive:
            for child in parent.children:
                child.parent = node
            node.children[:0] = parent.children
            parent.children = []
        parent.children.append(node)
        node.parent = parent
        node.settle()

    @staticmethod
    def _is_below(node: Node, other: Node) -> bool:
        above = node.parent
        while above is not None:
            if above is other:
                return True
            above = above.parent
        return False

    @staticmethod
    def _lift(node: Node, to: Node) -> None:
        """Put *node* beside *to*, which it was below."""
        assert node.parent is not None and to.parent is not None
        node.parent.children.remove(node)
        siblings = to.parent.children
        siblings.insert(siblings.index(to) + 1, node)
        node.parent = to.parent
        node.settle()

    def _forget(self, node: Node) -> None:
        """Its children take its place and share its weight."""
        del self.closed[node]
        del self.nodes[node.id]
        parent = node.parent
        assert parent is not None
        total = sum(child.weight for child in node.children)
        parent.children.remove(node)
        for child in node.children:
            child.parent = parent
            child.weight = node.weight * child.weight // total or 1
            child.settle()
        parent.children += node.children
