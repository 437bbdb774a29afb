"""Where each member goes below its gang's domain: steps 4 and 5 of the placement.

The readable definition of every step is the twin of the same name in kernel_reference.py.
"""
from libc.string cimport memset

from kernel_types cimport i8, i32, i64

cdef enum:
    NONE = -1
    FULL = -1  # mark of a domain that gets all that it can take
    FEW = 256  # values below it are counted instead of sorted
    OWN = -2  # and below: of a domain whose own nodes are in the last row, from OWN - mark on


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


cdef void fewest_of_few_values(
    const i64[::1] value, Py_ssize_t count,  # IN  all below FEW
    i64 wanted, i64 largest,     # IN   largest < wanted < the sum of value
    i64[::1] share,              # IN OUT  zero before
) noexcept nogil:
    """`fewest` by counting how many items there are of each value."""
    cdef i64[FEW] items
    cdef i64 full = largest, filled = 0, rest, i
    memset(items, 0, sizeof(items))
    for i in range(count):
        items[value[i]] += 1
    while True:
        filled = 0
        while filled < items[full] and full < wanted:
            wanted -= full
            filled += 1
        if filled < items[full]:
            break
        full -= 1
    # All above `full` and the first `filled` of that value are full; one of `rest` ends it.
    rest = wanted
    while rest < full and items[rest] == 0:
        rest += 1
    for i in range(count):
        if value[i] > full or (value[i] == full and filled > 0):
            share[i] = value[i]
            filled -= value[i] == full
        elif value[i] == rest and wanted > 0:
            share[i] = wanted
            wanted = 0


cdef void fewest(
    const i64[::1] value,        # IN   caps of the `count` items of a row
    Py_ssize_t count, i64 wanted,  # IN  wanted <= the sum of value
    i32[::1] heap,               # OUT  scratch
    i64[::1] share,              # OUT  what each item gets
) noexcept nogil:
    """Step 4 for one row: the k - 1 largest filled, the smallest that holds the rest."""
    cdef Py_ssize_t i, unused = count
    cdef i64 total = 0, largest = 0
    cdef i32 pick = NONE, top
    for i in range(count):
        total += value[i]
        largest = max(largest, value[i])
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
    if largest < FEW:
        fewest_of_few_values(value, count, wanted, largest, share)
        return
    # heap[0 .. unused) holds items that have nothing yet, the largest on top.
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


cdef Py_ssize_t down(
    const i32[::1] first_child, const i8[::1] level,
    const i64[::1] amount,       # IN      [D] what each domain can take (members or segments)
    i32 top, int last,           # IN      goes down from `top` to domains of level `last`
    i64* wanted,                 # IN OUT  > 0; then what is still to be given out below the chosen
    i64[::1] mark,               # IN OUT  [D] what domains on the way get: all of it, or > 0
    i64[::1] value, i64[::1] part, i32[::1] heap, i32[::1] row,  # scratch
    i32[::1] chosen,             # OUT     domains chosen last: filled ones, then the begun one
) noexcept nogil:
    """Step 4, one level after the other: the children of all chosen domains stand in one row.

    A row that does not hold what is wanted is filled, and the rest goes on to what hangs below
    the chosen domains without a label of that level. Ties go to children of filled domains: the
    begun one stands last in its row, and so do its children. Returns how many are chosen.
    """
    cdef Py_ssize_t count = 1, size, i
    cdef i32 c, begun
    cdef i64 total
    cdef int below
    chosen[0] = top
    mark[top] = wanted[0]
    for below in range(level[top] + 1, last + 1):
        size = 0
        total = 0
        for i in range(count):
            for c in range(first_child[chosen[i]], first_child[chosen[i] + 1]):
                if level[c] == below and amount[c] > 0:
                    row[size] = c
                    value[size] = amount[c]
                    total += amount[c]
                    size += 1
        if total < wanted[0]:
            for i in range(size):
                mark[row[i]] = FULL
            wanted[0] -= total
            continue
        fewest(value, size, wanted[0], heap, part)
        count = 0
        begun = NONE
        for i in range(size):
            if part[i] == 0:
                continue
            mark[row[i]] = part[i]
            if part[i] < value[i]:
                begun = row[i]
            else:
                chosen[count] = row[i]
                count += 1
        if begun >= 0:
            chosen[count] = begun
            count += 1
    return count


cdef Py_ssize_t descend_members(
    const i32[::1] first_child, const i8[::1] level, const i32[::1] start, const i32[::1] end,
    const i32[::1] own_start, const i32[::1] order,
    const i64[::1] cap, const i64[::1] sums,
    i32 top, i64 members, int levels,  # IN  members that go below `top`; at most sums[top]
    i64[::1] mark,               # IN OUT  [D] zero before and after
    i64[::1] value, i64[::1] part, i32[::1] heap, i32[:, ::1] stack,  # scratch
    i32[::1] rows, Py_ssize_t at,  # IN OUT  rows[at ..] in tree order
    i64* visited,
) noexcept nogil:
    """Goes down to nodes, then over what was chosen in tree order; returns the next place."""
    cdef Py_ssize_t depth = 1, count, size = 0, used = 0, i, p, _member
    cdef i32 d, c
    count = down(
        first_child, level, sums, top, levels - 1, &members, mark, value, part, heap,
        stack[0], stack[1],
    )
    for i in range(count):
        d = stack[1, i]
        mark[d] = OWN - size
        for p in range(own_start[d], end[d]):
            value[size] = cap[order[p]]
            size += 1
    fewest(value, size, members, heap, part)
    visited[0] += size
    stack[0, 0] = top
    while depth > 0:
        depth -= 1
        d = stack[0, depth]
        if d < 0:
            d = -2 - d
            used = OWN - mark[d]
            mark[d] = 0
            for p in range(own_start[d], end[d]):
                for _member in range(part[used]):
                    rows[at] = order[p]
                    at += 1
                used += 1
            continue
        if mark[d] == FULL:
            visited[0] += end[d] - start[d]
            for p in range(start[d], end[d]):
                for _member in range(cap[order[p]]):
                    rows[at] = order[p]
                    at += 1
        if mark[d] <= OWN:
            # Own nodes come after the child domains: their turn is pushed first.
            stack[0, depth] = -2 - d
            depth += 1
        if mark[d] != FULL:
            for c in range(first_child[d + 1] - 1, first_child[d] - 1, -1):
                if mark[c] != 0:
                    stack[0, depth] = c
                    depth += 1
        if mark[d] > OWN:
            mark[d] = 0
    return at


cdef void spread_segments(
    const i32[::1] parent, const i32[::1] first_child, const i8[::1] level,
    const i64[::1] whole,
    i32 top, i64 segments, int segment_level,  # IN  at most whole[top]
    i64[::1] share,              # IN OUT  [D] zero before; what segment domains get, others != 0
    i64[::1] value, i64[::1] part, i32[::1] heap, i32[:, ::1] stack,  # scratch
) noexcept nogil:
    """Step 4 for whole segments."""
    cdef i32 d
    down(
        first_child, level, whole, top, segment_level, &segments, share, value, part, heap,
        stack[0], stack[1],
    )
    for d in range(top + 1, <i32>level.shape[0]):  # parents have smaller numbers
        if level[d] <= segment_level and whole[d] > 0:
            if share[d] == FULL or share[parent[d]] == FULL:
                # Of a segment domain the number, of those above it only that they are used.
                share[d] = whole[d] if level[d] == segment_level else FULL


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


cdef Py_ssize_t used_segments(
    const i32[::1] first_child, const i8[::1] level, const i32[::1] start, const i32[::1] end,
    const i64[::1] share, int segment_level, i32 top, i32 short,  # IN  short: its domain or -1
    i32[::1] stack,              # scratch
    i32[::1] found,              # OUT     segment domains in use
) noexcept nogil:
    """Tree order, but at each level the domain with the short segment comes last."""
    cdef Py_ssize_t depth = 1, count = 0
    cdef i32 d, c, last
    stack[0] = top
    while depth > 0:
        depth -= 1
        d = stack[depth]
        if level[d] == segment_level:
            found[count] = d
            count += 1
            continue
        last = NONE
        for c in range(first_child[d], first_child[d + 1]):
            if short >= 0 and start[c] <= start[short] and end[short] <= end[c]:
                last = c
                stack[depth] = c
                depth += 1
        for c in range(first_child[d + 1] - 1, first_child[d] - 1, -1):
            if share[c] != 0 and c != last:
                stack[depth] = c
                depth += 1
    return count


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
    i64[:, ::1] value,           # scratch [2, W], W = as many as domains or nodes there are
    i32[::1] heap,               # scratch [W]
    i32[:, ::1] stack,           # scratch [3, 2 D + 2]
    i32[::1] rows,               # OUT  [m] row of each member, by rank
):
    """Steps 4 and 5: goes down from the common domain `top`; returns rows compared."""
    cdef i64 m = rows.shape[0], short, visited = 0
    cdef Py_ssize_t at = 0, found, i
    cdef i32 d, last = NONE
    if m == 0:
        return 0
    with nogil:
        if size == 0 or level[top] >= segment_level:
            descend_members(
                first_child, level, start, end, own_start, order, cap, sums, top, m, levels,
                share[1], value[0], value[1], heap, stack, rows, 0, &visited,
            )
        else:
            short = m % size
            if m >= size:
                spread_segments(
                    parent, first_child, level, whole, top, m // size, segment_level,
                    share[0], value[0], value[1], heap, stack,
                )
            if short > 0:
                last = short_domain(
                    parent, level, start, end, path_rank, sums, share[0],
                    size, segment_level, levels, top, short,
                )
            found = used_segments(
                first_child, level, start, end, share[0], segment_level, top, last,
                stack[0], stack[2],
            )
            for i in range(found):
                d = stack[2, i]
                at = descend_members(
                    first_child, level, start, end, own_start, order, cap, sums, d,
                    share[0, d] * size + (short if d == last else 0), levels,
                    share[1], value[0], value[1], heap, stack, rows, at, &visited,
                )
            share[0, top:] = 0
    return visited
