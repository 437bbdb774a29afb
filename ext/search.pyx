"""Gangs of several kinds of members: bounds, greedy filling and exhaustive search over nodes.

A kind is what members have in common (shape and pin). Everything that a node gives away is a
column of `room`: resources asked for, pod slots, and each exclusive token as a resource of which
a node has one. The options of a node are the kinds that it can take at least one of:

    node (tree position)   0      1    2         first  0 2 3 5
    kinds it can take      a b    b    a c       kind   0 1 1 0 2      cap  4 2 7 1 1

The readable definition of every function is its namesake in search_reference.py.
"""
from kernel_types cimport i32, i64, u8

cdef enum:
    NO = 0
    YES = 1
    UNKNOWN = 2


cdef inline i64 fit(
    const i64[::1] rest, const i64[:, ::1] request, Py_ssize_t k, i64 most,
) noexcept nogil:
    """Members of kind k that fit into what is left of a node, at most `most`."""
    cdef Py_ssize_t q
    cdef i64 copies
    for q in range(rest.shape[0]):
        if request[k, q] > 0:
            if rest[q] < request[k, q]:
                return 0
            copies = rest[q] // request[k, q]
            if copies < most:
                most = copies
    return most


def prefix_bounds(
    const i32[::1] domains,      # IN   domains asked about
    const i32[::1] start,        # IN   [D]
    const i32[::1] end,          # IN   [D]
    const i32[::1] first,        # IN   [N + 1]
    const i32[::1] kind,         # IN   [O]
    const i64[::1] cap,          # IN   [O]
    const i64[:, ::1] supply,    # IN   [N, G] what a node can add to each bound
    const i64[:, ::1] need,      # IN   [G, n + 1] what the first m members ask of each bound
    const i32[::1] who_start,    # IN   [K + 1]
    const i32[::1] who,          # IN   [n] members of each kind, rising
    i64[::1] have,               # scratch [K]
    i64[::1] given,              # scratch [G]
    i64[::1] most,               # OUT  [len(domains)]
):
    """most[i] = a prefix longer than this cannot fit under domains[i]; returns nodes visited."""
    cdef Py_ssize_t i, p, o, k, g, low, high, middle, visited = 0
    cdef i64 wanted, n = who.shape[0]
    cdef i32 d
    with nogil:
        for i in range(domains.shape[0]):
            d = domains[i]
            most[i] = n
            for k in range(have.shape[0]):
                have[k] = 0
            for g in range(given.shape[0]):
                given[g] = 0
            visited += end[d] - start[d]
            for p in range(start[d], end[d]):
                for o in range(first[p], first[p + 1]):
                    k = kind[o]
                    wanted = who_start[k + 1] - who_start[k]
                    have[k] = wanted if cap[o] >= wanted - have[k] else have[k] + cap[o]
                for g in range(given.shape[0]):
                    given[g] += supply[p, g]
            for k in range(have.shape[0]):
                if have[k] < who_start[k + 1] - who_start[k]:
                    if who[who_start[k] + have[k]] < most[i]:
                        most[i] = who[who_start[k] + have[k]]
            for g in range(given.shape[0]):
                # The longest prefix whose need is met: need[g] never falls.
                low = 0
                high = most[i]
                while low < high:
                    middle = (low + high + 1) // 2
                    if need[g, middle] <= given[g]:
                        low = middle
                    else:
                        high = middle - 1
                most[i] = low
    return visited


def fill(
    const i32[::1] positions,    # IN      nodes in the order in which they are filled
    const i32[::1] first,        # IN      [N + 1]
    const i32[::1] turn,         # IN      [O] each node's options in the order tried
    const i32[::1] kind,         # IN      [O]
    const i64[:, ::1] room,      # IN      [N, Q]
    const i64[:, ::1] request,   # IN      [K, Q]
    i64[::1] left,               # IN OUT  [K] members still without a node
    i64[::1] rest,               # scratch [Q]
    i32[::1] option,             # OUT     [O] options used,
    i64[::1] count,              # OUT     [O] and members that each took
    i64[::1] out,                # OUT     [2] options used, nodes visited
):
    """First fit: every node in turn takes as many as it can of each kind in turn."""
    cdef Py_ssize_t i, j, k, q, used = 0
    cdef i64 copies, total = 0, visited = 0
    cdef i32 p, o
    with nogil:
        for k in range(left.shape[0]):
            total += left[k]
        for i in range(positions.shape[0]):
            if total == 0:
                break
            p = positions[i]
            visited += 1
            for q in range(rest.shape[0]):
                rest[q] = room[p, q]
            for j in range(first[p], first[p + 1]):
                o = turn[j]
                k = kind[o]
                copies = fit(rest, request, k, left[k])
                if copies == 0:
                    continue
                for q in range(rest.shape[0]):
                    rest[q] -= copies * request[k, q]
                left[k] -= copies
                total -= copies
                option[used] = o
                count[used] = copies
                used += 1
        out[0] = used
        out[1] = visited


cdef inline void give_back(
    const i64[:, ::1] request, const i64[:, ::1] weight, Py_ssize_t k, i64 copies,
    i64[::1] left, i64[::1] need, i64[::1] rest, i64* total,
) noexcept nogil:
    """Takes `copies` members of kind k off the node at hand (puts them there if negative)."""
    cdef Py_ssize_t q
    left[k] += copies
    total[0] += copies
    for q in range(need.shape[0]):
        need[q] += copies * weight[k, q]
    for q in range(rest.shape[0]):
        rest[q] += copies * request[k, q]


cdef bint refill(
    const i32[::1] kind, const i64[:, ::1] request, const i64[:, ::1] weight,
    Py_ssize_t o, Py_ssize_t width, Py_ssize_t at, Py_ssize_t before, Py_ssize_t j,
    const i64[::1] ahead,
    i64[::1] left, i64[::1] need, i64[::1] rest, i64[::1] give, i64* total,
) noexcept nogil:
    """Sets options j .. width - 1 of a node to their most; False if later nodes cannot do it.

    o: the node's first option; at: its place in `give`; before: that of an equal node just
    before it, whose vector must not come later in the order, or -1.
    """
    cdef Py_ssize_t i, k
    cdef i64 copies
    cdef bint tied = before >= 0
    for i in range(j):
        if tied and give[at + i] != give[before + i]:
            tied = False
    for i in range(j, width):
        k = kind[o + i]
        copies = fit(rest, request, k, left[k])
        if tied and copies > give[before + i]:
            copies = give[before + i]
        if left[k] - copies > ahead[k]:
            return False
        if tied and copies != give[before + i]:
            tied = False
        if copies > 0:
            give[at + i] = copies
            give_back(request, weight, k, -copies, left, need, rest, total)
    return True


cdef Py_ssize_t step(
    const i32[::1] kind, const i64[:, ::1] request, const i64[:, ::1] weight,
    Py_ssize_t o, Py_ssize_t width, Py_ssize_t at,
    const i64[::1] ahead,
    i64[::1] left, i64[::1] need, i64[::1] rest, i64[::1] give, i64* total,
) noexcept nogil:
    """Takes one member off the last option that can spare it; returns the option after it, or -1.

    The options after it are emptied. The node's last option always has its most: with less of
    it the node could take one more, and such vectors are never needed.
    """
    cdef Py_ssize_t j, k
    for j in range(width - 1, -1, -1):
        if give[at + j] == 0:
            continue
        k = kind[o + j]
        if j < width - 1 and left[k] + 1 <= ahead[k]:
            give[at + j] -= 1
            give_back(request, weight, k, 1, left, need, rest, total)
            return j + 1
        give_back(request, weight, k, give[at + j], left, need, rest, total)
        give[at + j] = 0
    return -1


cdef bint settled(
    const i32[::1] kind, const i64[:, ::1] request, Py_ssize_t o, Py_ssize_t width,
    const i64[::1] left, const i64[::1] need, const i64[::1] have, const i64[::1] rest,
) noexcept nogil:
    """Is the node full (no member left fits), and can the nodes ahead still hold the others?"""
    cdef Py_ssize_t i, g
    for g in range(need.shape[0]):
        if need[g] > have[g]:
            return False
    for i in range(width):
        if left[kind[o + i]] > 0 and fit(rest, request, kind[o + i], 1) > 0:
            return False
    return True


def search(
    const i32[::1] positions,    # IN      nodes in the order of the search
    const u8[::1] same,          # IN      1 where a node equals the one before it
    const i32[::1] first,        # IN      [N + 1]
    const i32[::1] kind,         # IN      [O]
    const i64[::1] cap,          # IN      [O]
    const i64[:, ::1] room,      # IN      [N, Q]
    const i64[:, ::1] request,   # IN      [K, Q]
    const i64[:, ::1] weight,    # IN      [K, G] what one member asks of each bound
    const i64[:, ::1] supply,    # IN      [len(positions), G]
    const i32[::1] offset,       # IN      [len(positions)] where each node's options are in give
    i64 budget,                  # IN      vectors that may be tried
    i64[::1] left,               # IN OUT  [K] members to place; all 0 afterwards if found
    i64[::1] ahead,              # scratch [K] members that later nodes can take
    i64[::1] need,               # scratch [G]
    i64[::1] have,               # scratch [G]
    i64[::1] rest,               # scratch [Q]
    i64[::1] give,               # OUT     zero before; members that each option takes
):
    """Depth first over nodes; returns (answer, vectors tried).

    Of all assignments only the one whose vectors come first in the order (most of the first
    kind, and so on, node by node) need be met: there no node has room for a member that a later
    node holds, and equal nodes stand in falling order. What cannot be that one is cut off.
    """
    cdef Py_ssize_t i = 0, j, g, k, o, width, at, nodes = positions.shape[0]
    cdef i64 total = 0, visits = 0
    cdef int answer = NO
    cdef bint fresh = True
    cdef i32 p
    with nogil:
        for k in range(left.shape[0]):
            ahead[k] = 0
        for g in range(need.shape[0]):
            need[g] = 0
            have[g] = 0
        for i in range(nodes):
            for o in range(first[positions[i]], first[positions[i] + 1]):
                k = kind[o]
                ahead[k] = left[k] if cap[o] >= left[k] - ahead[k] else ahead[k] + cap[o]
            for g in range(have.shape[0]):
                have[g] += supply[i, g]
        for k in range(left.shape[0]):
            total += left[k]
            for g in range(need.shape[0]):
                need[g] += left[k] * weight[k, g]
            if ahead[k] < left[k]:
                nodes = 0
            ahead[k] = 0
        for g in range(need.shape[0]):
            if need[g] > have[g]:
                nodes = 0
        # Now the same sums without the cut at `left`, so that they can be taken back exactly.
        for i in range(nodes):
            for o in range(first[positions[i]], first[positions[i] + 1]):
                ahead[kind[o]] += cap[o]
        if total == 0:
            answer = YES
            nodes = 0
        i = 0
        while nodes > 0:
            p = positions[i]
            o = first[p]
            width = first[p + 1] - o
            at = offset[i]
            for g in range(rest.shape[0]):
                rest[g] = room[p, g]
            if fresh:
                for j in range(width):
                    ahead[kind[o + j]] -= cap[o + j]
                for g in range(have.shape[0]):
                    have[g] -= supply[i, g]
                j = 0
            else:
                for j in range(width):
                    for g in range(rest.shape[0]):
                        rest[g] -= give[at + j] * request[kind[o + j], g]
                j = step(
                    kind, request, weight, o, width, at, ahead, left, need, rest, give, &total
                )
                if j < 0:
                    for j in range(width):
                        ahead[kind[o + j]] += cap[o + j]
                    for g in range(have.shape[0]):
                        have[g] += supply[i, g]
                    if i == 0:
                        break
                    i -= 1
                    continue
            if visits >= budget:
                answer = UNKNOWN
                break
            visits += 1
            fresh = False
            if refill(
                kind, request, weight, o, width, at, offset[i - 1] if same[i] else -1, j,
                ahead, left, need, rest, give, &total,
            ) and settled(kind, request, o, width, left, need, have, rest):
                if total == 0:
                    answer = YES
                    break
                i += 1
                fresh = True
    return answer, visits
