# Types and small helpers that kernels share. Header only: a kernel cimports from here and from
# nowhere else, so that each compiled module stands alone. No NumPy headers are needed.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t

ctypedef int8_t i8
ctypedef int16_t i16
ctypedef int32_t i32
ctypedef int64_t i64
ctypedef uint8_t u8

cdef inline i64 cap_limit() noexcept nogil:
    """A node counts for at most this many members: on 2**22 nodes it still sums in int64."""
    return <i64>1 << 40


cdef inline i64 node_capacity(
    const i64[:, ::1] free,      # IN  [R, N] free amounts; negative where overcommitted
    const i64[::1] slots,        # IN  [N] free pod slots
    const i64[::1] request,      # IN  [R] amounts of one member, >= 0
    bint exclusive,              # IN  a node holds at most one
    Py_ssize_t row,
) noexcept nogil:
    """Members that fit on `row`. Exact: integer division, never a reciprocal."""
    cdef i64 best = slots[row], fit
    cdef Py_ssize_t r
    if best <= 0:
        return 0
    if best > cap_limit():
        best = cap_limit()
    if exclusive:
        best = 1
    for r in range(request.shape[0]):
        if request[r] > 0:
            if free[r, row] < request[r]:
                return 0
            # 32-bit division where both sides allow it: several times faster, same result.
            if (free[r, row] | request[r]) >> 32 == 0:
                fit = <i64>(<unsigned int>free[r, row] // <unsigned int>request[r])
            else:
                fit = free[r, row] // request[r]
            if fit < best:
                best = fit
    return best
