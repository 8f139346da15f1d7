/* The timing wheel: see wheel.h for the levels.
 *
 * A slot number here is absolute: tick >> 6 * level; its place in the array is the number modulo 128.  With the wheel's
 * tick in slot C of a level, these hold between any two calls (wheel_check() asserts them):
 *   - a level holds slots C + 1 .. C + 127 only, so an occupied bit names one slot and one stretch of time;
 *   - slot C of every level is empty: level 0's went to `due`, an upper one's moved down before the tick came to it;
 *   - arming puts nothing into slot C + 1 of an upper level, it fits the level below: so that slot only drains. */
#include "timers/wheel.h"

#include <assert.h>

#define LEVEL_BITS 6
#define TICK_LAST  (UINT64_MAX / WHEEL_TICK_NS)
#define TICK_MASK  ((UINT64_C(1) << 48) - 1)
#define LEVEL_LAST (WHEEL_LEVELS - 1)
#define NOTHING    UINT64_MAX

__extension__ typedef unsigned __int128 slot_bits;

static_assert(WHEEL_SLOTS == 2 << LEVEL_BITS, "a level holds two slots of the level above");
static_assert(sizeof(slot_bits) * 8 == WHEEL_SLOTS, "the bitmap of a level is one number");
static_assert(TICK_LAST < TICK_MASK, "every time in nanoseconds has a tick of 48 bits");
static_assert(WHEEL_AHEAD_MAX >> (LEVEL_BITS * LEVEL_LAST) < WHEEL_SLOTS - 1,
	      "the top level reaches the last deadline");
static_assert(WHEEL_MOVES_AHEAD <= WHEEL_MOVES_MAX, "being on time costs less than catching up");
static_assert(offsetof(struct wheel_entry, link) == 0, "a link is its entry");
static_assert(sizeof(struct wheel_entry) == 24, "an entry is in every call record: keep it small");

/* ---- lists and bitmaps ---- */

static void list_init(struct wheel_link *list)
{
	list->next = list;
	list->prev = list;
}

static bool list_empty(const struct wheel_link *list)
{
	return list->next == list;
}

static void list_append(struct wheel_link *list, struct wheel_link *l)
{
	l->next = list;
	l->prev = list->prev;
	list->prev->next = l;
	list->prev = l;
}

static void list_append_all(struct wheel_link *list, struct wheel_link *from)
{
	assert(!list_empty(from));
	from->next->prev = list->prev;
	from->prev->next = list;
	list->prev->next = from->next;
	list->prev = from->prev;
	list_init(from);
}

static struct wheel_entry *entry_of(struct wheel_link *l)
{
	return (struct wheel_entry *)l;
}

static uint64_t slot_of(uint64_t tick, unsigned level)
{
	return tick >> (LEVEL_BITS * level);
}

static uint64_t slot_first_tick(uint64_t slot, unsigned level)
{
	return slot << (LEVEL_BITS * level);
}

static bool bit_get(const struct wheel *w, unsigned level, uint64_t slot)
{
	return w->occupied[level][slot / 64 % 2] >> slot % 64 & 1;
}

static void bit_set(struct wheel *w, unsigned level, uint64_t slot)
{
	w->occupied[level][slot / 64 % 2] |= UINT64_C(1) << slot % 64;
}

static void bit_clear(struct wheel *w, unsigned level, uint64_t slot)
{
	w->occupied[level][slot / 64 % 2] &= ~(UINT64_C(1) << slot % 64);
}

/* The first slot after the current one that holds an entry, NOTHING if the level is empty. */
static uint64_t first_occupied(const struct wheel *w, unsigned level)
{
	slot_bits bits = (slot_bits)w->occupied[level][1] << 64 | w->occupied[level][0];
	if (bits == 0)
		return NOTHING;
	uint64_t after = slot_of(w->tick, level) + 1;
	bits = bits >> after % WHEEL_SLOTS | bits << -after % WHEEL_SLOTS;
	uint64_t low = (uint64_t)bits;
	unsigned distance =
		low != 0 ? (unsigned)__builtin_ctzll(low) : 64 + (unsigned)__builtin_ctzll((uint64_t)(bits >> 64));
	assert(distance < WHEEL_SLOTS - 1); /* else it is the current slot */
	return after + distance;
}

/* ---- arming ---- */

/* The lowest level that reaches the tick: its slot a level up is the current or the next one. */
static unsigned level_for(const struct wheel *w, uint64_t tick)
{
	unsigned level = 0;
	while (level < LEVEL_LAST && slot_of(tick, level + 1) > slot_of(w->tick, level + 1) + 1)
		level++;
	return level;
}

static void place(struct wheel *w, struct wheel_entry *e)
{
	if (e->tick <= w->tick) {
		list_append(&w->due, &e->link);
		return;
	}
	unsigned level = level_for(w, e->tick);
	uint64_t slot = slot_of(e->tick, level);
	bit_set(w, level, slot);
	list_append(&w->slot[level][slot % WHEEL_SLOTS], &e->link);
}

/* Rounded up, and brought forward to what the wheel and the clock can hold. */
static uint64_t deadline_tick(const struct wheel *w, uint64_t deadline_ns)
{
	uint64_t tick = deadline_ns / WHEEL_TICK_NS + (deadline_ns % WHEEL_TICK_NS != 0);
	uint64_t last = w->tick + WHEEL_AHEAD_MAX;
	if (last > TICK_LAST)
		last = TICK_LAST;
	return tick < last ? tick : last;
}

/* `list` has become empty: if it is a slot's and not `due`, its bit goes. */
static void list_emptied(struct wheel *w, const struct wheel_link *list)
{
	uintptr_t offset = (uintptr_t)list - (uintptr_t)w->slot;
	if (offset >= sizeof(w->slot)) {
		assert(list == &w->due);
		return;
	}
	size_t index = offset / sizeof(*list);
	bit_clear(w, (unsigned)(index / WHEEL_SLOTS), index % WHEEL_SLOTS);
}

static void unlink_entry(struct wheel *w, struct wheel_entry *e)
{
	struct wheel_link *l = &e->link;
	assert(l->next->prev == l && l->prev->next == l);
	assert(w->armed > 0);
	l->next->prev = l->prev;
	l->prev->next = l->next;
	if (l->next == l->prev) /* a list of one: what is left is the head */
		list_emptied(w, l->next);
	l->next = NULL;
	l->prev = NULL;
	w->armed--;
}

void wheel_init(struct wheel *w, uint64_t now_ns)
{
	*w = (struct wheel){ .tick = now_ns / WHEEL_TICK_NS };
	for (unsigned level = 0; level < WHEEL_LEVELS; level++)
		for (unsigned i = 0; i < WHEEL_SLOTS; i++)
			list_init(&w->slot[level][i]);
	list_init(&w->due);
}

void wheel_entry_init(struct wheel_entry *e, uint16_t kind)
{
	*e = (struct wheel_entry){ .kind = kind };
}

void wheel_arm(struct wheel *w, struct wheel_entry *e, uint64_t deadline_ns)
{
	if (wheel_armed(e))
		unlink_entry(w, e);
	e->tick = deadline_tick(w, deadline_ns) & TICK_MASK;
	place(w, e);
	w->armed++;
}

void wheel_cancel(struct wheel *w, struct wheel_entry *e)
{
	if (wheel_armed(e))
		unlink_entry(w, e);
}

/* ---- time passes ---- */

/* Moves entries of the level's next slot down, at most *left of them.  True when the slot is empty. */
static bool move_down(struct wheel *w, unsigned level, uint32_t *left)
{
	uint64_t slot = slot_of(w->tick, level) + 1;
	struct wheel_link *list = &w->slot[level][slot % WHEEL_SLOTS];
	struct wheel_link *l = list->next;
	uint32_t count = 0;
	while (l != list && count < *left) {
		struct wheel_link *next = l->next;
		struct wheel_entry *e = entry_of(l);
		assert(e->tick > w->tick && slot_of(e->tick, level) == slot); /* so it finds a place further down */
		place(w, e);
		l = next;
		count++;
	}
	list->next = l;
	l->prev = list;
	*left -= count;
	w->moved += count;
	if (l != list)
		return false;
	bit_clear(w, level, slot);
	return true;
}

/* How far the tick may go before something must be done: to the first tick with entries (level 0), or to the last tick
 * before an upper slot with entries, which must be empty before it is entered.  On a tie level 0 is first. */
static uint64_t next_stop(const struct wheel *w, unsigned *ret_level)
{
	uint64_t stop = first_occupied(w, 0);
	*ret_level = 0;
	for (unsigned level = 1; level < WHEEL_LEVELS; level++) {
		uint64_t slot = first_occupied(w, level);
		if (slot == NOTHING)
			continue;
		uint64_t tick = slot_first_tick(slot, level) - 1;
		if (tick < stop) {
			stop = tick;
			*ret_level = level;
		}
	}
	return stop;
}

/* Goes to the next stop or to `target`.  False when *left does not suffice to clear the way. */
static bool step(struct wheel *w, uint64_t target, uint32_t *left)
{
	unsigned level;
	uint64_t stop = next_stop(w, &level);
	if (stop > target) {
		w->tick = target;
		return true;
	}
	assert(stop >= w->tick);
	w->tick = stop;
	if (level == 0) {
		list_append_all(&w->due, &w->slot[0][stop % WHEEL_SLOTS]);
		bit_clear(w, 0, stop);
		return true;
	}
	return stop == target || move_down(w, level, left);
}

void wheel_advance(struct wheel *w, uint64_t now_ns)
{
	uint64_t target = now_ns / WHEEL_TICK_NS;
	if (target <= w->tick)
		return;
	uint32_t left = WHEEL_MOVES_MAX;
	do {
		if (!step(w, target, &left))
			return;
	} while (w->tick < target);

	/* On time: use what is left of the smaller allowance, the most urgent level first. */
	uint32_t used = WHEEL_MOVES_MAX - left;
	uint32_t ahead = used < WHEEL_MOVES_AHEAD ? WHEEL_MOVES_AHEAD - used : 0;
	for (unsigned level = 1; level < WHEEL_LEVELS && ahead > 0; level++)
		if (bit_get(w, level, slot_of(w->tick, level) + 1))
			move_down(w, level, &ahead);
}

struct wheel_entry *wheel_pop(struct wheel *w)
{
	if (list_empty(&w->due))
		return NULL;
	struct wheel_entry *e = entry_of(w->due.next);
	assert(e->tick <= w->tick);
	unlink_entry(w, e);
	return e;
}

/* An upper slot wants a wake-up when the slot before it begins, and at every tick from then on until it is empty. */
uint64_t wheel_next_ns(const struct wheel *w)
{
	if (!list_empty(&w->due))
		return w->tick * WHEEL_TICK_NS;
	uint64_t next = first_occupied(w, 0);
	for (unsigned level = 1; level < WHEEL_LEVELS; level++) {
		uint64_t slot = first_occupied(w, level);
		if (slot == NOTHING)
			continue;
		uint64_t tick = slot_first_tick(slot - 1, level);
		if (tick <= w->tick)
			tick = w->tick + 1;
		if (tick < next)
			next = tick;
	}
	return next == NOTHING ? WHEEL_DEADLINE_NONE : next * WHEEL_TICK_NS;
}

/* ---- the checker ---- */

static uint64_t check_links(const struct wheel *w, const struct wheel_link *list)
{
	uint64_t count = 0;
	for (const struct wheel_link *l = list; l->next != list; l = l->next) {
		assert(l->next->prev == l);
		count++;
		assert(count <= w->armed); /* also ends the walk of a list that has lost its head */
	}
	assert(list->prev->next == list);
	return count;
}

static void check_slot_entries(const struct wheel *w, unsigned level, unsigned index)
{
	const struct wheel_link *list = &w->slot[level][index];
	uint64_t current = slot_of(w->tick, level);
	for (const struct wheel_link *l = list->next; l != list; l = l->next) {
		uint64_t tick = ((const struct wheel_entry *)l)->tick;
		uint64_t slot = slot_of(tick, level);
		assert(slot % WHEEL_SLOTS == index);
		assert(slot > current && slot < current + WHEEL_SLOTS);
		assert(tick <= w->tick + WHEEL_AHEAD_MAX);
		if (level < LEVEL_LAST)
			assert(slot_of(tick, level + 1) <= slot_of(w->tick, level + 1) + 1);
	}
}

void wheel_check(const struct wheel *w)
{
	uint64_t count = check_links(w, &w->due);
	for (const struct wheel_link *l = w->due.next; l != &w->due; l = l->next)
		assert(((const struct wheel_entry *)l)->tick <= w->tick);
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		for (unsigned i = 0; i < WHEEL_SLOTS; i++) {
			assert(bit_get(w, level, i) == !list_empty(&w->slot[level][i]));
			if (!bit_get(w, level, i))
				continue;
			count += check_links(w, &w->slot[level][i]);
			check_slot_entries(w, level, i);
		}
	}
	assert(count == w->armed);
}
