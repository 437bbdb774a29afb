"""How many members of one shape fit on each node, and under each domain."""
from kernel_types cimport i8, i16, i32, i64, node_capacity


def capacity(
    const i64[:, ::1] free,      # IN   [R, N]
    const i64[::1] slots,        # IN   [N]
    const i16[::1] reason,       # IN   [N] 0 = eligible
    const i64[::1] request,      # IN   [R]
    bint exclusive,              # IN
    i64[::1] cap,                # OUT  [N]
):
    """cap[row] = members that fit there; 0 where a filter refused the node."""
    cdef Py_ssize_t row
    with nogil:
        for row in range(cap.shape[0]):
            if reason[row] != 0:
                cap[row] = 0
            else:
                cap[row] = node_capacity(free, slots, request, exclusive, row)


def roll_up(
    const i32[::1] parent,       # IN   [D] -1 for the cluster, else a smaller number
    const i32[::1] node_parent,  # IN   [N]
    const i64[::1] cap,          # IN   [N]
    i64[::1] sums,               # OUT  [D]
):
    """sums[d] = total of cap under d, in one pass over the nodes and one over the domains.

        cap   2 1 | 0 3 | 4         sums of own nodes   [0, 0, 0, 3, 3, 4]
              l-1   l-2   l-3       added to parents    [10, 6, 4, 3, 3, 4]
    """
    cdef Py_ssize_t row, d
    with nogil:
        for d in range(sums.shape[0]):
            sums[d] = 0
        for row in range(cap.shape[0]):
            sums[node_parent[row]] += cap[row]
        for d in range(sums.shape[0] - 1, 0, -1):
            sums[parent[d]] += sums[d]


def refresh_rows(
    const i32[::1] parent,       # IN      [D]
    const i32[::1] node_parent,  # IN      [N]
    const i32[::1] rows,         # IN      rows whose node changed; repeats are harmless
    const i64[:, ::1] free,      # IN      [R, N]
    const i64[::1] slots,        # IN      [N]
    const i16[::1] reason,       # IN      [N]
    const i64[::1] request,      # IN      [R]
    bint exclusive,              # IN
    i64[::1] cap,                # IN OUT  [N]
    i64[::1] sums,               # IN OUT  [D]
):
    """Brings cap and sums up to date for `rows` only."""
    cdef Py_ssize_t i, row
    cdef i64 now, delta
    cdef i32 d
    with nogil:
        for i in range(rows.shape[0]):
            row = rows[i]
            now = 0
            if reason[row] == 0:
                now = node_capacity(free, slots, request, exclusive, row)
            delta = now - cap[row]
            if delta == 0:
                continue
            cap[row] = now
            d = node_parent[row]
            while d >= 0:
                sums[d] += delta
                d = parent[d]


def take(
    const i32[::1] rows,         # IN      a row per member; neighbours are often equal
    const i64[::1] request,      # IN      [R] amounts of one member
    i64[:, ::1] free,            # IN OUT  [R, N]
    i64[::1] slots,              # IN OUT  [N]
    i32[::1] touched,            # OUT     [len(rows)] rows changed, one entry per run
):
    """Takes one member's room on each of `rows`; returns how many entries of touched are set.

        rows     7 7 7 9 9 4        runs (7 x3)(9 x2)(4 x1)        touched 7 9 4, returns 3
    """
    cdef Py_ssize_t i = 0, j, r, runs = 0, members = rows.shape[0]
    cdef i64 count
    with nogil:
        while i < members:
            j = i + 1
            while j < members and rows[j] == rows[i]:
                j += 1
            count = j - i
            for r in range(request.shape[0]):
                free[r, rows[i]] -= request[r] * count
            slots[rows[i]] -= count
            touched[runs] = rows[i]
            runs += 1
            i = j
    return runs


def segment_sums(
    const i32[::1] parent,       # IN   [D]
    const i8[::1] level,         # IN   [D]
    const i64[::1] sums,         # IN   [D] members under each domain
    i64 size,                    # IN   members of a whole segment, > 0
    int segment_level,           # IN
    i64[::1] whole,              # OUT  [D] whole segments under each domain at or above the level
):
    """whole[d] = sum of floor(sums / size) over the segment domains under d; 0 below them."""
    cdef Py_ssize_t d
    with nogil:
        for d in range(whole.shape[0]):
            whole[d] = sums[d] // size if level[d] == segment_level else 0
        for d in range(whole.shape[0] - 1, 0, -1):
            if level[d] <= segment_level:
                whole[parent[d]] += whole[d]
