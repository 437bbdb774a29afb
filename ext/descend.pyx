"""Where each member goes below its gang's domain: steps 4 and 5 of the placement.

The readable definition of every step is the twin of the same name in kernel_reference.py.
"""
from kernel_types cimport i8, i32, i64

cdef enum:
    NONE = -1


cdef inline bint before(const i64[::1] value, i32 a, i32 b) noexcept nogil:
    """Is a filled before b? The larger one, then the lower index."""
    return value[a] > value[b] or (value[a] == value[b] and a < b)


cdef void sift(
    const i64[::1] value, i32[::1] heap, Py_ssize_t at, Py_ssize_t count,
) noexcept nogil:
    """Restores a heap whose top is the item that comes first."""
    cdef Py_ssize_t child
    cdef i32 moved = heap[at]
    while 2 * at + 1 < count:
        child = 2 * at + 1
        if child + 1 < count and before(value, heap[child + 1], heap[child]):
            child += 1
        if not before(value, heap[child], moved):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = moved


cdef void fewest(
    const i64[::1] value,        # IN   caps of `count` children in name order
    Py_ssize_t count, i64 wanted,  # IN  wanted <= the sum of value
    i32[::1] heap,               # OUT  scratch
    i64[::1] share,              # OUT  what each child gets
) noexcept nogil:
    """Step 4 for one parent: the k - 1 largest filled, the smallest that holds the rest."""
    cdef Py_ssize_t i, unused = count
    cdef i64 total = 0
    cdef i32 pick = NONE, top
    for i in range(count):
        total += value[i]
        share[i] = 0
        if value[i] >= wanted and (pick < 0 or value[i] < value[pick]):
            pick = i
    if wanted <= 0:
        return
    if pick >= 0:
        share[pick] = wanted
        return
    if total == wanted:
        for i in range(count):
            share[i] = value[i]
        return
    # heap[0 .. unused) holds children that have nothing yet, the largest on top.
    for i in range(count):
        heap[i] = i
    for i in range(count // 2 - 1, -1, -1):
        sift(value, heap, i, count)
    while value[heap[0]] < wanted:
        top = heap[0]
        share[top] = value[top]
        wanted -= value[top]
        unused -= 1
        heap[0] = heap[unused]
        sift(value, heap, 0, unused)
    pick = heap[0]
    for i in range(1, unused):
        top = heap[i]
        if value[top] >= wanted and (
            value[top] < value[pick] or (value[top] == value[pick] and top < pick)
        ):
            pick = top
    share[pick] = wanted


cdef void spread_children(
    const i32[::1] first_child, const i8[::1] level,
    const i64[::1] amount,       # IN      [D] what each child can take (members or segments)
    Py_ssize_t d, i64 wanted,    # IN
    i64[::1] share,              # IN OUT  [D] children's shares are set
    i64[::1] value, i64[::1] part, i32[::1] heap,  # scratch
    i64[::1] rest,               # OUT     [1] what no child domain could take
) noexcept nogil:
    """Shares `wanted` among child domains of d: labelled siblings (by level) come first."""
    cdef Py_ssize_t a = first_child[d], b, c
    cdef i64 total, give
    while a < first_child[d + 1]:
        b = a
        total = 0
        while b < first_child[d + 1] and level[b] == level[a]:
            value[b - a] = amount[b]
            total += amount[b]
            b += 1
        give = wanted if wanted < total else total
        fewest(value, b - a, give, heap, part)
        for c in range(a, b):
            share[c] = part[c - a]
        wanted -= give
        a = b
    rest[0] = wanted


cdef Py_ssize_t descend_members(
    const i32[::1] first_child, const i8[::1] level, const i32[::1] end,
    const i32[::1] own_start, const i32[::1] order,
    const i64[::1] cap, const i64[::1] sums,
    i32 top, i64 members,        # IN      members that go below `top`; at most sums[top]
    i64[::1] share,              # IN OUT  [D] zero before and after
    i64[::1] value, i64[::1] part, i32[::1] heap, i32[::1] stack, i64[::1] rest,  # scratch
    i32[::1] rows, Py_ssize_t at,  # IN OUT  rows[at ..] in tree order
    i64* visited,
) noexcept nogil:
    """Goes down depth first, so that rows come out in tree order; returns the next free place."""
    cdef Py_ssize_t depth = 1, p, _member
    cdef i32 d, c
    stack[0] = top
    share[top] = members
    while depth > 0:
        depth -= 1
        d = stack[depth]
        if d >= 0:
            members = share[d]
            share[d] = 0
            spread_children(
                first_child, level, sums, d, members, share, value, part, heap, rest
            )
            if rest[0] > 0:
                # Own nodes come after the child domains: their turn is pushed first.
                share[d] = rest[0]
                stack[depth] = -2 - d
                depth += 1
            for c in range(first_child[d + 1] - 1, first_child[d] - 1, -1):
                if share[c] > 0:
                    stack[depth] = c
                    depth += 1
            continue
        d = -2 - d
        members = share[d]
        share[d] = 0
        visited[0] += end[d] - own_start[d]
        for p in range(own_start[d], end[d]):
            value[p - own_start[d]] = cap[order[p]]
        fewest(value, end[d] - own_start[d], members, heap, part)
        for p in range(own_start[d], end[d]):
            for _member in range(part[p - own_start[d]]):
                rows[at] = order[p]
                at += 1
    return at


cdef i32 short_domain(
    const i32[::1] parent, const i8[::1] level, const i32[::1] start, const i32[::1] end,
    const i32[::1] path_rank, const i64[::1] sums, const i64[::1] share,
    i64 size, int segment_level, int levels, i32 top, i64 short,
) noexcept nogil:
    """Where the short segment goes: used domains first, then the least room that holds it."""
    cdef Py_ssize_t d
    cdef i32 best = NONE, up
    cdef i64 left, best_left = 0, unused, best_unused = 0
    cdef int gap
    for d in range(level.shape[0]):
        if level[d] != segment_level or start[d] < start[top] or end[d] > end[top]:
            continue
        left = sums[d] - share[d] * size
        if left < short:
            continue
        unused = 0
        up = d
        while up != top:
            if share[up] == 0:
                # A bit per level, the top one highest; a domain stands for the levels it skips.
                gap = level[up] - level[parent[up]]
                unused |= ((<i64>1 << gap) - 1) << (levels - level[up])
            up = parent[up]
        if (
            best < 0 or unused < best_unused
            or (unused == best_unused and left < best_left)
            or (unused == best_unused and left == best_left and path_rank[d] < path_rank[best])
        ):
            best, best_left, best_unused = d, left, unused
    return best


cdef i64 order_key(
    const i32[::1] parent, const i32[::1] start, const i32[::1] end, const i32[::1] path_rank,
    i32 top, i32 short, i32 d,
) noexcept nogil:
    """Tree order, but at each level the domain with the short segment comes last."""
    cdef i64 shared = 0
    cdef i32 up = d
    while short >= 0 and up != top:
        if start[up] <= start[short] and end[short] <= end[up]:
            shared += 1
        up = parent[up]
    return (shared << 32) | path_rank[d]


def descend(
    const i32[::1] parent,       # IN   [D]
    const i32[::1] first_child,  # IN   [D + 1]
    const i8[::1] level,         # IN   [D]
    const i32[::1] start,        # IN   [D]
    const i32[::1] end,          # IN   [D]
    const i32[::1] own_start,    # IN   [D]
    const i32[::1] path_rank,    # IN   [D]
    const i32[::1] order,        # IN   [N]
    const i64[::1] cap,          # IN   [N]
    const i64[::1] sums,         # IN   [D]
    const i64[::1] whole,        # IN   [D]
    i32 top, i64 size, int segment_level, int levels,  # IN
    i64[:, ::1] share,           # IN OUT  [2, D] zero before and after
    i64[:, ::1] value,           # scratch [2, W], W = most children or own nodes of a domain
    i32[::1] heap,               # scratch [W]
    i32[:, ::1] stack,           # scratch [2, 2 D + 2]
    i64[::1] rest,               # scratch [1]
    i32[::1] rows,               # OUT  [m] row of each member, by rank
):
    """Steps 4 and 5: goes down from the common domain `top`; returns rows compared."""
    cdef i64 m = rows.shape[0], short, visited = 0
    cdef Py_ssize_t at = 0, head = 0, tail = 1, found = 0, i, j
    cdef i32 d, c, last = NONE
    cdef i64 key
    with nogil:
        if size == 0 or level[top] >= segment_level:
            descend_members(
                first_child, level, end, own_start, order, cap, sums, top, m, share[1],
                value[0], value[1], heap, stack[1], rest, rows, 0, &visited,
            )
        else:
            # Whole segments go down breadth first; stack[0, :found] = segment domains reached.
            short = m % size
            share[0, top] = m // size
            stack[0, 0] = top
            while head < tail:
                d = stack[0, head]
                head += 1
                if level[d] == segment_level:
                    stack[0, found] = d
                    found += 1
                    continue
                spread_children(
                    first_child, level, whole, d, share[0, d], share[0],
                    value[0], value[1], heap, rest,
                )
                for c in range(first_child[d], first_child[d + 1]):
                    if share[0, c] > 0:
                        stack[0, tail] = c
                        tail += 1
            if short > 0:
                last = short_domain(
                    parent, level, start, end, path_rank, sums, share[0],
                    size, segment_level, levels, top, short,
                )
                if share[0, last] == 0:
                    stack[0, found] = last
                    found += 1
            # Insertion sort: breadth first is tree order already, but for the short one's path.
            for i in range(1, found):
                d = stack[0, i]
                key = order_key(parent, start, end, path_rank, top, last, d)
                j = i
                while j > 0 and order_key(
                    parent, start, end, path_rank, top, last, stack[0, j - 1]
                ) > key:
                    stack[0, j] = stack[0, j - 1]
                    j -= 1
                stack[0, j] = d
            for i in range(found):
                d = stack[0, i]
                at = descend_members(
                    first_child, level, end, own_start, order, cap, sums, d,
                    share[0, d] * size + (short if d == last else 0), share[1],
                    value[0], value[1], heap, stack[1], rest, rows, at, &visited,
                )
            for i in range(found):
                d = stack[0, i]
                while d >= 0:
                    share[0, d] = 0
                    if d == top:
                        break
                    d = parent[d]
    return visited
