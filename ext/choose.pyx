"""Which domain takes a gang of identical members: steps 1 to 3 of the placement.

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
