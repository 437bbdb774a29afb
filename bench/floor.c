/* The floor: what the planner's arithmetic costs in plain C, with nothing around it.

   Exact integer division, the kernels' compiler flags, one thread, no vector instructions asked
   for. Each function does the whole work of its scenario and gives the planner's own answer:
   run.py compares capacities, sums and the row of every member before it times anything. What a
   planner needs besides is left out on purpose: checks of its input, more than one level of the
   network, segments, homes, holds, claims, reasons, rejections. Work arrays come from the caller.

   Columns as in scheduler.model.snapshot: free is [resources][nodes]. Spines are runs of rows:
   spine s owns rows first[s] .. first[s + 1] - 1. A node holds at most MOST members of a shape
   and amounts stay below 2^55, so that capacity times request fits in 64 bits. */
#include <stdint.h>
#include <string.h>

enum { CORDONED = 1, MOST = 255 };

typedef struct {
    int64_t nodes, resources, spines;
    int64_t *free;              /* [resources][nodes]; taken from by gang() and queue() */
    int64_t *slots;             /* [nodes] free pod slots; taken from likewise */
    const uint8_t *flags;       /* [nodes] */
    const int32_t *taint_set;   /* [nodes] */
    const uint8_t *tolerated;   /* [taint sets] */
    const int32_t *first;       /* [spines + 1] */
} cluster;

static int64_t node_capacity(const cluster *c, const int64_t *request, int64_t row)
{
    if (c->flags[row] & CORDONED || !c->tolerated[c->taint_set[row]])
        return 0;
    int64_t best = c->slots[row];
    for (int64_t r = 0; r < c->resources; r++) {
        int64_t free = c->free[r * c->nodes + row];
        if (best * request[r] > free)  /* else this resource is not what runs out */
            best = free / request[r];
    }
    return best > 0 ? best : 0;
}

static int64_t spine_capacity(const cluster *c, const int64_t *request, int64_t s, int64_t *cap)
{
    int64_t sum = 0;
    for (int64_t row = c->first[s]; row < c->first[s + 1]; row++)
        sum += cap[row] = node_capacity(c, request, row);
    return sum;
}

/* (a) Filter and capacity of one shape on every node, and its sum under every spine. */
int64_t filter_capacity(const cluster *c, const int64_t *request, int64_t *cap, int64_t *sums)
{
    int64_t total = 0;
    for (int64_t s = 0; s < c->spines; s++)
        total += sums[s] = spine_capacity(c, request, s, cap);
    return total;
}

/* Members on the nodes of all spines with a share, which stand in one row, fewest nodes first:
   the largest are filled, the least that holds what is left takes it. Ties go to nodes of spines
   with a full share (part 0), not to those of the one that is begun (part 1), then to the first
   row. 0 < wanted <= the sum of those spines. */
static int64_t place(cluster *c, const int64_t *request, const int64_t *cap, const int64_t *sums,
                     const int64_t *share, int64_t wanted, int32_t *rows, uint8_t *dirty)
{
    int64_t count[2][MOST + 1] = {{0}}, filled[2], full, rest, at = 0;
    for (int64_t s = 0; s < c->spines; s++)
        if (share[s] > 0) {
            dirty[s] = 0xff;
            for (int64_t row = c->first[s]; row < c->first[s + 1]; row++)
                count[share[s] < sums[s]][cap[row]]++;
        }
    for (full = MOST; full > 0; full--) {
        for (int part = 0; part < 2; part++)
            for (filled[part] = 0; filled[part] < count[part][full] && full < wanted;)
                wanted -= full, filled[part]++;
        if (filled[0] < count[0][full] || filled[1] < count[1][full])
            break;
    }
    /* All nodes above `full` and the first `filled` of it are used up; one of `rest` ends it. */
    for (rest = wanted; rest < full && count[0][rest] + count[1][rest] == 0; rest++)
        ;
    int last = count[0][rest] == (rest == full ? filled[0] : 0);
    for (int64_t s = 0; s < c->spines; s++) {
        int part = share[s] < sums[s];
        for (int64_t row = c->first[s]; share[s] > 0 && row < c->first[s + 1]; row++) {
            int64_t members = 0;
            if (cap[row] > full || (cap[row] == full && filled[part] > 0)) {
                members = cap[row];
                filled[part] -= cap[row] == full;
            } else if (wanted > 0 && part == last && cap[row] == rest) {
                members = wanted;
                wanted = 0;
            }
            if (members == 0)
                continue;
            for (int64_t i = 0; i < members; i++)
                rows[at++] = (int32_t)row;
            for (int64_t r = 0; r < c->resources; r++)
                c->free[r * c->nodes + row] -= members * request[r];
            c->slots[row] -= members;
        }
    }
    return at;
}

/* One gang over spines whose sums are known; share[s] = what spine s would get alone. 0 if it
   has no room. */
static int spread(const cluster *c, const int64_t *sums, int64_t wanted, int64_t *share)
{
    memset(share, 0, c->spines * sizeof *share);
    int64_t total = 0;
    for (int64_t s = 0; s < c->spines; s++)
        total += sums[s];
    if (total < wanted)
        return 0;
    while (wanted > 0) {
        int64_t tight = -1, widest = -1;
        for (int64_t s = 0; s < c->spines; s++) {
            if (share[s] != 0)
                continue;
            if (sums[s] >= wanted && (tight < 0 || sums[s] < sums[tight]))
                tight = s;
            if (widest < 0 || sums[s] > sums[widest])
                widest = s;
        }
        int64_t to = tight >= 0 ? tight : widest;
        share[to] = tight >= 0 ? wanted : sums[to];
        wanted -= share[to];
    }
    return 1;
}

/* (b) One gang of `wanted` identical pods: filter, capacity, best-fit spines, rows, room taken. */
int64_t gang(cluster *c, const int64_t *request, int64_t wanted, int64_t *cap, int64_t *sums,
             int64_t *share, uint8_t *dirty, int32_t *rows)
{
    filter_capacity(c, request, cap, sums);
    if (!spread(c, sums, wanted, share))
        return 0;
    return place(c, request, cap, sums, share, wanted, rows, dirty);
}

/* (c) Gangs one after the other. Spine sums of each shape (at most 8) are kept; a gang of a shape
   recomputes the spines that were taken from since that shape was last asked for, no others.
   Returns members placed; rows[offset[g] ..] = -1 where gang g has no room. */
int64_t queue(cluster *c, const int64_t *requests, int64_t shapes, int64_t gangs,
              const int64_t *offset, const int32_t *shape, int64_t *cap, int64_t *sums,
              int64_t *share, uint8_t *dirty, int32_t *rows)
{
    int64_t placed = 0;
    for (int64_t k = 0; k < shapes; k++)
        filter_capacity(c, requests + k * c->resources, cap + k * c->nodes, sums + k * c->spines);
    memset(dirty, 0, c->spines);
    for (int64_t g = 0; g < gangs; g++) {
        int64_t k = shape[g], wanted = offset[g + 1] - offset[g];
        const int64_t *request = requests + k * c->resources;
        int64_t *own_cap = cap + k * c->nodes, *own_sums = sums + k * c->spines;
        int32_t *out = rows + offset[g];
        for (int64_t s = 0; s < c->spines; s++)
            if (dirty[s] >> k & 1) {
                own_sums[s] = spine_capacity(c, request, s, own_cap);
                dirty[s] &= ~(1u << k);
            }
        if (spread(c, own_sums, wanted, share))
            placed += place(c, request, own_cap, own_sums, share, wanted, out, dirty);
        else
            memset(out, 0xff, wanted * sizeof *out);
    }
    return placed;
}
