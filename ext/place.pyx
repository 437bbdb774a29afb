"""Where a gang of identical members goes: the domain (choose) and each member's row (descend).

The readable definition of every step is the twin of the same name in kernel_reference.py.
"""
from kernel_types cimport i8, i32, i64

cdef enum:
    NONE = -1


cdef inline i64 measure(
    const i64[::1] sums, const i64[::1] whole, const i8[::1] level,
    int segment_level, Py_ssize_t d,
) noexcept nogil:
    """cap(d): members up to the segment level, whole segments above it."""
    if segment_level >= 0 and level[d] < segment_level:
        return whole[d]
    return sums[d]


cdef inline int compare_up(
    const i32[::1] parent, const i8[::1] level, const i64[::1] sums, const i64[::1] whole,
    int segment_level, i32 a, i32 b,
) noexcept nogil:
    """Compares the caps of a and b, then of their parents, and so on: -1, 0 or 1."""
    cdef i64 left, right
    while a >= 0 and b >= 0:
        if a == b:
            return 0
        left = measure(sums, whole, level, segment_level, a)
        right = measure(sums, whole, level, segment_level, b)
        if left != right:
            return -1 if left < right else 1
        a = parent[a]
        b = parent[b]
    if a < 0 and b < 0:
        return 0
    return -1 if a < 0 else 1


cdef bint short_fits(
    const i8[::1] level, const i32[::1] start, const i32[::1] end, const i64[::1] sums,
    i64 size, int segment_level, Py_ssize_t d, i64 short,
) noexcept nogil:
    """Does some segment domain under d keep room for the short segment beside its whole ones?"""
    cdef Py_ssize_t x
    for x in range(level.shape[0]):
        if level[x] == segment_level and start[d] <= start[x] and end[x] <= end[d]:
            if sums[x] % size >= short:
                return True
    return False


cdef i64 holdable(
    const i8[::1] level, const i32[::1] start, const i32[::1] end,
    const i32[:, ::1] ancestor, const i64[::1] sums, const i64[::1] whole,
    i64 n, i64 size, int segment_level, Py_ssize_t d,
) noexcept nogil:
    """Members of n that d holds: all of them, or the most (whole segments if there are any)."""
    cdef i64 q, r
    if size == 0:
        return n if sums[d] >= n else sums[d]
    if level[d] >= segment_level:
        if ancestor[segment_level, d] < 0:
            return 0
        return n if sums[d] >= n else sums[d] // size * size
    q = n // size
    r = n % size
    if whole[d] > q or (whole[d] == q and r == 0):
        return n
    if whole[d] < q:
        return whole[d] * size
    return n if short_fits(level, start, end, sums, size, segment_level, d, r) else q * size


def tight_nodes(
    const i32[::1] own_start,    # IN      [D]
    const i32[::1] end,          # IN      [D]
    const i32[::1] order,        # IN      [N]
    const i64[::1] cap,          # IN      [N]
    i64 members,                 # IN      members that one node must hold
    const i32[::1] domains,      # IN      domains to look at
    i32[::1] best,               # IN OUT  [D] tightest own node of each, as a row, or -1
):
    """Per domain, the own node of least cap that holds `members`; returns rows compared."""
    cdef Py_ssize_t i, p, d, visited = 0
    cdef i64 least
    with nogil:
        for i in range(domains.shape[0]):
            d = domains[i]
            best[d] = NONE
            least = 0
            visited += end[d] - own_start[d]
            for p in range(own_start[d], end[d]):
                if cap[order[p]] >= members and (best[d] < 0 or cap[order[p]] < least):
                    best[d] = order[p]
                    least = cap[order[p]]
    return visited


def most(
    const i8[::1] level,         # IN   [D]
    const i32[::1] start,        # IN   [D]
    const i32[::1] end,          # IN   [D]
    const i32[:, ::1] ancestor,  # IN   [L + 1, D]
    const i32[::1] permitted,    # IN   permitted domains, in path order
    const i64[::1] sums,         # IN   [D]
    const i64[::1] whole,        # IN   [D] from segment_sums, or sums if there are none
    i64 n, i64 size, int segment_level,  # IN
    i64[::1] out,                # OUT  [2] most members that one holds, and that domain or -1
):
    """Step 1: the most of n members that one permitted domain holds; ties to more room."""
    cdef Py_ssize_t i
    cdef i64 fit
    cdef i32 d, best = NONE
    with nogil:
        out[0] = 0
        for i in range(permitted.shape[0]):
            d = permitted[i]
            fit = holdable(level, start, end, ancestor, sums, whole, n, size, segment_level, d)
            if best < 0 or fit > out[0] or (fit == out[0] and sums[d] > sums[best]):
                best = d
                out[0] = fit
        out[1] = best


def choose(
    const i32[::1] parent,       # IN   [D]
    const i8[::1] level,         # IN   [D]
    const i32[::1] start,        # IN   [D]
    const i32[::1] end,          # IN   [D]
    const i32[::1] path_rank,    # IN   [D]
    const i32[::1] position,     # IN   [N]
    const i32[:, ::1] ancestor,  # IN   [L + 1, D]
    const i64[::1] cap,          # IN   [N]
    const i64[::1] sums,         # IN   [D]
    const i64[::1] whole,        # IN   [D]
    const i32[::1] tight,        # IN   [D] from tight_nodes, all -1 if no node holds m
    i64 m, i64 size, int segment_level,  # IN
    int required, i32 within,    # IN   required level or -1; the only permitted domain or -1
    int preferred, bint single,  # IN
    i64[::1] out,                # OUT  [2] domain, row (-1 unless one node holds all)
):
    """Steps 2 and 3: the lowest common domain, and the tightest of those."""
    cdef Py_ssize_t d
    cdef i32 best = NONE, best_row = NONE
    cdef int best_level = -2, here, way
    cdef bint off, best_off = False
    with nogil:
        for d in range(level.shape[0]):
            if within >= 0 and not (
                ancestor[level[within], d] == within if within > 0 else True
            ):
                continue
            if required >= 0 and ancestor[required, d] < 0:
                continue
            if size > 0 and level[d] >= segment_level and ancestor[segment_level, d] < 0:
                continue
            # The node level: the tightest own node of d, unless d cannot hold a segment.
            if tight[d] >= 0 and (size == 0 or ancestor[segment_level, d] >= 0):
                off = unlabelled(level, ancestor, preferred, d, True) != single
                if best_row < 0:
                    way = -1
                elif off != best_off:
                    way = -1 if best_off else 1
                elif cap[tight[d]] != cap[best_row]:
                    way = -1 if cap[tight[d]] < cap[best_row] else 1
                else:
                    way = compare_up(parent, level, sums, whole, segment_level, d, best)
                    if way == 0:
                        way = -1 if position[tight[d]] < position[best_row] else 1
                if way < 0:
                    best, best_row, best_off = d, tight[d], off
            if best_row >= 0 or level[d] < best_level:
                continue
            if not holds(level, start, end, sums, whole, m, size, segment_level, d):
                continue
            here = level[d]
            off = unlabelled(level, ancestor, preferred, d, False) != single
            if here > best_level:
                way = -1
            elif off != best_off:
                way = -1 if best_off else 1
            else:
                way = compare_up(parent, level, sums, whole, segment_level, d, best)
                if way == 0:
                    way = -1 if path_rank[d] < path_rank[best] else 1
            if way < 0:
                best, best_level, best_off = d, here, off
        out[0] = best
        out[1] = best_row


cdef inline bint unlabelled(
    const i8[::1] level, const i32[:, ::1] ancestor, int preferred, Py_ssize_t d, bint node,
) noexcept nogil:
    """Is d (or a node directly below it) under the preferred level without a domain there?"""
    if preferred < 0 or (not node and level[d] <= preferred):
        return False
    return ancestor[preferred, d] < 0


cdef inline bint holds(
    const i8[::1] level, const i32[::1] start, const i32[::1] end,
    const i64[::1] sums, const i64[::1] whole,
    i64 m, i64 size, int segment_level, Py_ssize_t d,
) noexcept nogil:
    cdef i64 q, r
    if size == 0 or level[d] >= segment_level:
        return sums[d] >= m
    q = m // size
    r = m % size
    if whole[d] != q or r == 0:
        return whole[d] >= q and (whole[d] > q or r == 0)
    return short_fits(level, start, end, sums, size, segment_level, d, r)


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
    cdef Py_ssize_t depth = 1, p, j
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
            for j in range(part[p - own_start[d]]):
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
