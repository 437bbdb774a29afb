"""Fills a cluster with pods that share GPUs: one policy, one attempt each, nobody leaves.

The readable definition is the twin of the same name in replay/fgd/reference.py. Two things are
kept here that the twin computes afresh: the score of every kind of pod on every node, stale only
where a pod was placed since, and the fragmentation of every node.

    score   kind 0   57 -1 -2 .. 57     -1 = does not fit, -2 = stale
            kind 1   40 40 -2 .. 12     a pod of whatever kind was placed on node 2
"""
from kernel_types cimport i8, i32, i64, u8

cdef enum:               # score of a kind on a node; else 0 .. 100
    STALE = -2
    NO_FIT = -1

cdef enum:               # columns of kinds[K, 4] and of typical[M, 4]
    CPU = 0
    GPUS = 1
    MILLI = 2            # of each device
    MEMORY = 3           # of kinds
    WEIGHT = 3           # of typical

cdef enum:               # Policy in replay/fgd/policy.py
    RANDOM = 0
    DOTPROD = 1
    CLUSTERING = 2
    PACKING = 3
    BEST_FIT = 4
    FGD = 5

cdef enum:
    WHOLE = 1000         # milli of a device
    MOST_CPU = 128000    # milli-CPU and GPU milli of the largest node, whatever nodes there are
    MOST_GPU = 8000


cdef inline bint shares(const i64[:, ::1] kinds, Py_ssize_t k) noexcept nogil:
    """Whether the kind takes a part of one device."""
    return kinds[k, GPUS] == 1 and kinds[k, MILLI] < WHOLE


cdef inline i64 node_idle(const i64[:, ::1] idle, Py_ssize_t n) noexcept nogil:
    """Idle GPU milli of the node."""
    cdef i64 total = 0
    cdef Py_ssize_t d
    for d in range(idle.shape[1]):
        total += idle[n, d]
    return total


cdef inline bint fits(
    const i64[:, ::1] kinds, const u8[:, ::1] may_use, const i32[::1] model,
    const i64[:, ::1] free, const i64[:, ::1] idle, Py_ssize_t k, Py_ssize_t n,
) noexcept nogil:
    """CPU, memory, GPU model, and enough devices with what each of them must give."""
    cdef i64 count = 0
    cdef Py_ssize_t d
    if free[n, 0] < kinds[k, CPU] or free[n, 1] < kinds[k, MEMORY]:
        return False
    if kinds[k, GPUS] == 0:
        return True
    if not may_use[k, model[n]]:
        return False
    for d in range(idle.shape[1]):
        if idle[n, d] >= kinds[k, MILLI]:
            count += 1
    return count >= kinds[k, GPUS]


cdef i64 fragmentation(
    const i64[:, ::1] typical, const u8[:, ::1] typical_may_use, i32 model, i64 cpu,
    const i64[::1] work,         # IN [W] idle milli of the devices of one node
) noexcept nogil:
    """Idle milli that each typical type cannot use, times its weight, summed."""
    cdef i64 total = 0, whole = 0, small, fitting
    cdef Py_ssize_t m, d
    for d in range(work.shape[0]):
        whole += work[d]
    for m in range(typical.shape[0]):
        small = 0
        fitting = 0
        if typical[m, GPUS] > 0 and typical[m, CPU] <= cpu and typical_may_use[m, model]:
            for d in range(work.shape[0]):
                if work[d] >= typical[m, MILLI]:
                    fitting += 1
                else:
                    small += work[d]
        if fitting == 0 or fitting < typical[m, GPUS]:
            small = whole
        total += typical[m, WEIGHT] * small
    return total


cdef inline void load(const i64[:, ::1] idle, Py_ssize_t n, i64[::1] work) noexcept nogil:
    """work = the node's idle devices."""
    cdef Py_ssize_t d
    for d in range(work.shape[0]):
        work[d] = idle[n, d]


cdef inline int reached(const i64[::1] threshold, i64 gain) noexcept nogil:
    """How many of the rising thresholds `gain` has reached."""
    cdef Py_ssize_t low = 0, high = threshold.shape[0], middle
    while low < high:
        middle = (low + high) // 2
        if gain >= threshold[middle]:
            low = middle + 1
        else:
            high = middle
    return <int>low


cdef int fgd_score(
    const i64[:, ::1] kinds, const i64[:, ::1] typical, const u8[:, ::1] typical_may_use,
    const i64[::1] threshold, const i32[::1] model, const i64[:, ::1] free,
    const i64[:, ::1] idle, i64 before, Py_ssize_t k, Py_ssize_t n, i64[::1] work,
    Py_ssize_t* device,          # OUT lowest device with the best score, for a kind that shares
) noexcept nogil:
    """How far the node's fragmentation falls, as a score; a sharing pod takes its best device."""
    cdef int best = NO_FIT, now
    cdef i64 cpu = free[n, 0] - kinds[k, CPU], left = kinds[k, GPUS]
    cdef Py_ssize_t d
    load(idle, n, work)
    if not shares(kinds, k):
        for d in range(work.shape[0]):
            if left > 0 and work[d] == WHOLE:
                work[d] = 0
                left -= 1
        return reached(
            threshold, before - fragmentation(typical, typical_may_use, model[n], cpu, work)
        )
    for d in range(work.shape[0]):
        if idle[n, d] < kinds[k, MILLI]:
            continue
        work[d] -= kinds[k, MILLI]
        now = reached(
            threshold, before - fragmentation(typical, typical_may_use, model[n], cpu, work)
        )
        work[d] += kinds[k, MILLI]
        if now > best:
            best = now
            device[0] = d
    return best


cdef inline Py_ssize_t tightest(
    const i64[:, ::1] idle, Py_ssize_t n, i64 milli
) noexcept nogil:
    """The device with the least idle milli that holds `milli`, lowest first; -1 if none does."""
    cdef Py_ssize_t d, found = -1
    for d in range(idle.shape[1]):
        if idle[n, d] >= milli and (found < 0 or idle[n, d] < idle[n, found]):
            found = d
    return found


cdef inline int packing_score(
    const i64[:, ::1] kinds, const i64[::1] devices, const i64[:, ::1] idle,
    Py_ssize_t k, Py_ssize_t n,
) noexcept nogil:
    """Shared devices first, then free devices of used nodes, then free nodes (small ones first)."""
    cdef Py_ssize_t found
    if kinds[k, GPUS] == 0:
        return 0
    if node_idle(idle, n) == WHOLE * devices[n]:
        return <int>max(33 - devices[n], 0)
    if shares(kinds, k):
        found = tightest(idle, n, kinds[k, MILLI])
        if idle[n, found] < WHOLE:
            return <int>max(100 - idle[n, found] // 100, 50)
    # A partly used device holds no whole one: all that the pod takes are free devices.
    return <int>max(50 - kinds[k, GPUS], 33)


cdef inline i64 group(const i64[:, ::1] kinds, Py_ssize_t k) noexcept nogil:
    """The kind's bit among the groups of Clustering: bit 0 shares, bit g takes g devices."""
    return 1 if shares(kinds, k) else <i64>1 << kinds[k, GPUS]


cdef inline int plain_score(
    int policy, const i64[:, ::1] kinds, const i64[::1] devices, const i64[:, ::1] free,
    const i64[:, ::1] idle, const i64[::1] groups, Py_ssize_t k, Py_ssize_t n,
) noexcept nogil:
    """The score of every policy but FGD. Exact integers, floored, never below 0."""
    cdef i64 gpu = kinds[k, GPUS] * kinds[k, MILLI], own, used
    if policy == DOTPROD:
        own = 50 * (free[n, 0] * kinds[k, CPU] + 256 * node_idle(idle, n) * gpu)
        return <int>max((100 * <i64>MOST_CPU * MOST_CPU - own) // (<i64>MOST_CPU * MOST_CPU), 0)
    if policy == BEST_FIT:
        own = 50 * (free[n, 0] - kinds[k, CPU] + 16 * (node_idle(idle, n) - gpu))
        return <int>max((100 * <i64>MOST_CPU - own) // MOST_CPU, 0)
    if policy == PACKING:
        return packing_score(kinds, devices, idle, k, n)
    if policy == CLUSTERING and kinds[k, GPUS] > 0:
        own = group(kinds, k)
        used = max(25 * (MOST_GPU - node_idle(idle, n)) // MOST_GPU, 0)
        if groups[n] == 0:
            return <int>(used + 25)
        if groups[n] & own:
            return <int>(used + (75 if groups[n] == own else 50))
        return <int>used
    return 0


cdef inline Py_ssize_t drawn(
    const i8[:, ::1] score, Py_ssize_t k, i64 draw
) noexcept nogil:
    """The node that a draw from [0, 2**31) picks among those that hold the kind, or -1."""
    cdef i64 count = 0, turn
    cdef Py_ssize_t n
    for n in range(score.shape[1]):
        count += score[k, n] >= 0
    turn = (draw * count) >> 31
    for n in range(score.shape[1]):
        if score[k, n] >= 0:
            if turn == 0:
                return n
            turn -= 1
    return -1


cdef inline Py_ssize_t drawn_device(
    const i64[:, ::1] idle, Py_ssize_t n, i64 milli, i64 draw
) noexcept nogil:
    """The same among the devices of a node that hold a share."""
    cdef i64 count = 0, turn
    cdef Py_ssize_t d
    for d in range(idle.shape[1]):
        count += idle[n, d] >= milli
    turn = (draw * count) >> 31
    for d in range(idle.shape[1]):
        if idle[n, d] >= milli:
            if turn == 0:
                return d
            turn -= 1
    return -1


cdef void take(
    const i64[:, ::1] kinds, Py_ssize_t k, Py_ssize_t n, Py_ssize_t device,
    i64[:, ::1] free, i64[:, ::1] idle, i64[::1] groups,
) noexcept nogil:
    """Places the pod: its share of `device`, or the lowest free devices."""
    cdef i64 left = kinds[k, GPUS]
    cdef Py_ssize_t d
    free[n, 0] -= kinds[k, CPU]
    free[n, 1] -= kinds[k, MEMORY]
    if left > 0:
        groups[n] |= group(kinds, k)
    if shares(kinds, k):
        idle[n, device] -= kinds[k, MILLI]
        return
    for d in range(idle.shape[1]):
        if left > 0 and idle[n, d] == WHOLE:
            idle[n, d] = 0
            left -= 1


def fill(
    int policy,
    const i64[:, ::1] kinds,             # IN      [K, 4] CPU, GPUs, milli of each, memory
    const u8[:, ::1] may_use,            # IN      [K, V] 1 = may run on that GPU model
    const i64[:, ::1] typical,           # IN      [M, 4] CPU, GPUs, milli of each, weight
    const u8[:, ::1] typical_may_use,    # IN      [M, V]
    const i64[::1] threshold,            # IN      [99] rising
    const i32[::1] model,                # IN      [N] 0 .. V - 1
    const i64[::1] devices,              # IN      [N] 0 .. W
    const i32[::1] arrivals,             # IN      [A] kind of each pod
    const i64[:, ::1] draws,             # IN      [A, 2] in [0, 2**31); read for RANDOM only
    i64[:, ::1] free,                    # IN OUT  [N, 2] CPU, memory
    i64[:, ::1] idle,                    # IN OUT  [N, W] milli; 0 where there is no device
    i64[::1] groups,                     # IN OUT  [N] groups that the node has held, as bits
    i64[::1] frag,                       # OUT     [N] fragmentation of each node
    i8[:, ::1] score,                    # OUT     [K, N]
    i64[::1] work,                       # scratch [W]
    i32[::1] node,                       # OUT     [A] node of each pod, or -1
    i64[::1] amount,                     # OUT     [A] fragmentation of the cluster after it
):
    """Places the pods one by one; what does not fit is dropped."""
    cdef Py_ssize_t a, k, n, best, device, i
    cdef i64 total = 0
    cdef int now
    with nogil:
        for n in range(model.shape[0]):
            load(idle, n, work)
            frag[n] = fragmentation(typical, typical_may_use, model[n], free[n, 0], work)
            total += frag[n]
            for k in range(kinds.shape[0]):
                score[k, n] = STALE
        for a in range(arrivals.shape[0]):
            k = arrivals[a]
            best = -1
            device = 0
            for n in range(model.shape[0]):
                now = score[k, n]
                if now == STALE:
                    if not fits(kinds, may_use, model, free, idle, k, n):
                        now = NO_FIT
                    elif policy == FGD:
                        now = fgd_score(kinds, typical, typical_may_use, threshold, model, free,
                                        idle, frag[n], k, n, work, &device)
                    else:
                        now = plain_score(policy, kinds, devices, free, idle, groups, k, n)
                    score[k, n] = <i8>now
                if now >= 0 and (best < 0 or now > score[k, best]):
                    best = n
            if policy == RANDOM:
                best = drawn(score, k, draws[a, 0])
            if best >= 0:
                if policy == FGD:
                    fgd_score(kinds, typical, typical_may_use, threshold, model, free,
                              idle, frag[best], k, best, work, &device)
                elif policy == RANDOM:
                    device = drawn_device(idle, best, kinds[k, MILLI], draws[a, 1])
                else:
                    device = tightest(idle, best, kinds[k, MILLI])
                take(kinds, k, best, device, free, idle, groups)
                load(idle, best, work)
                total -= frag[best]
                frag[best] = fragmentation(typical, typical_may_use, model[best], free[best, 0],
                                           work)
                total += frag[best]
                for i in range(kinds.shape[0]):
                    score[i, best] = STALE
            node[a] = <i32>best
            amount[a] = total
