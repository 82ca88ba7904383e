// SPDX-License-Identifier: GPL-2.0
/*
 * What is in an object, and what it tells.
 *
 * The first word has the object's state, the number of its life and a hash of
 * both and of its address, so that a word that came from elsewhere is no word,
 * nor what is left of one in memory that has had other objects since: the last
 * byte of such a one may be all of it that was written, right on the state.
 * The allocator writes nothing into objects unless it is asked to, so the word of
 * an object's last life is there when it is handed out again:
 *
 *   LIVE      it has two owners
 *   DEFERRED  a grace period must have gone by since, which a cookie of our own
 *             shows; and if there is a destructor, it has not run
 *   RELEASED  the same cache may have it at once, another one after a grace period
 *   none      there was a constructor: its work is gone
 *
 * Behind the word and the header are bytes that depend on the life.
 */
#include <linux/hash.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/processor.h>
#include <linux/string.h>

#include "gs_torture.h"

#define GST_FILL	64	/* bytes at the beginning that are checked */

/* A word, from the top: state, life, hash. */
#define GST_LIFE_BITS	33	/* a million a second, for more than two hours */
#define GST_HASH_BITS	28
#define GST_STATE_SHIFT	(GST_LIFE_BITS + GST_HASH_BITS)

static u64 gst_key;
static atomic64_t gst_lives = ATOMIC64_INIT(1);

void gst_objects_init(u64 seed)
{
	gst_key = seed * GOLDEN_RATIO_64;
}

u64 gst_next_life(void)
{
	return atomic64_inc_return(&gst_lives) &
	       GENMASK_ULL(GST_LIFE_BITS - 1, 0);
}

u64 gst_life_of(u64 word)
{
	return (word >> GST_HASH_BITS) & GENMASK_ULL(GST_LIFE_BITS - 1, 0);
}

static u64 gst_word(const void *obj, enum gst_kind kind, enum gst_state state,
		    u64 life)
{
	u64 where = ((u64)(uintptr_t)obj + kind) ^ gst_key;
	u64 what = (u64)state << GST_STATE_SHIFT | life << GST_HASH_BITS;

	return what | hash_64(where ^ what, GST_HASH_BITS);
}

static enum gst_state gst_state_of(u64 word)
{
	return word >> GST_STATE_SHIFT;
}

static bool gst_is_word(const void *obj, enum gst_kind kind, u64 word)
{
	enum gst_state state = gst_state_of(word);

	return state >= GST_MADE && state <= GST_RELEASED &&
	       word == gst_word(obj, kind, state, gst_life_of(word));
}

static size_t gst_header(size_t size)
{
	return size >= GST_FULL ? GST_FULL : GST_WORD;
}

static u8 gst_byte(u64 life, size_t at)
{
	return life * 31 + at * 7 + 1;
}

/* The bytes that are filled and checked: some at the beginning, and the last. */
static size_t gst_after(size_t size, size_t at)
{
	if (at == gst_header(size) + GST_FILL && at < size - 1)
		return size - 1;
	return at;
}

static void gst_fill(u8 *obj, size_t size, u64 life)
{
	size_t at;

	for (at = gst_header(size); at < size; at = gst_after(size, at + 1))
		obj[at] = gst_byte(life, at);
}

static bool gst_filled(const u8 *obj, size_t size, u64 life)
{
	size_t at;

	for (at = gst_header(size); at < size; at = gst_after(size, at + 1))
		if (READ_ONCE(obj[at]) != gst_byte(life, at))
			return false;
	return true;
}

void gst_object_make(void *obj, enum gst_kind kind)
{
	u64 *word = obj;

	if (gst_is_word(obj, kind, *word) && gst_state_of(*word) == GST_LIVE)
		gst_wrong(obj, "is constructed while it is in use");
	gst_record(obj, "made", *word, NULL);
	WRITE_ONCE(*word, gst_word(obj, kind, GST_MADE, 0));
}

void gst_object_take(void *p, struct gst_cache *cache, enum gst_kind kind,
		     size_t size, bool made, u64 born)
{
	bool full = size >= GST_FULL;
	struct gst_object *obj = p;
	u64 word = READ_ONCE(obj->word), life = gst_next_life();
	bool is = gst_is_word(obj, kind, word);

	if (made && !is)
		gst_wrong(obj, "has lost what its constructor wrote: %llx",
			  word);
	if (is && gst_state_of(word) == GST_LIVE)
		gst_wrong(obj, "is handed out while it is in use (life %llu)",
			  gst_life_of(word));
	if (is && full && gst_state_of(word) == GST_DEFERRED) {
		if (!poll_state_synchronize_rcu_full(&obj->due))
			gst_wrong(obj,
				  "is handed out before the grace period is over (life %llu)",
				  gst_life_of(word));
		if (cache && cache->dtor && obj->cache == cache &&
		    gst_life_of(word) >= born)
			gst_wrong(obj,
				  "of %s is handed out before its destructor has run (life %llu): cache %px, size %u, flags %lx, capacity %u, born %llu, %ld destructors, %ld deferred",
				  cache->name, gst_life_of(word), cache,
				  cache->size, cache->flags, cache->capacity,
				  cache->born, atomic_long_read(&cache->dtors),
				  atomic_long_read(&cache->defers));
		gst_count(GST_PROVEN);
	}
	if (is && full && gst_state_of(word) == GST_RELEASED &&
	    (obj->cache != cache || gst_life_of(word) < born) &&
	    !poll_state_synchronize_rcu_full(&obj->due))
		gst_wrong(obj,
			  "of a type-safe cache is another one's before the grace period is over (life %llu)",
			  gst_life_of(word));
	if (full)
		obj->cache = cache;
	gst_fill(p, size, life);
	word = gst_word(obj, kind, GST_LIVE, life);
	gst_record(obj, "taken", word, cache);
	WRITE_ONCE(obj->word, word);
}

bool gst_object_give(void *p, enum gst_kind kind, size_t size,
		     enum gst_state state)
{
	struct gst_object *obj = p;
	u64 word = READ_ONCE(obj->word), next;

	if (!gst_is_word(obj, kind, word) || gst_state_of(word) != GST_LIVE) {
		gst_wrong(obj, "that is about to be freed is not in use: %llx",
			  word);
		return false;
	}
	if (!gst_filled(p, size, gst_life_of(word)))
		gst_wrong(obj, "was overwritten (life %llu)", gst_life_of(word));
	if (state != GST_FREED && size >= GST_FULL)
		get_state_synchronize_rcu_full(&obj->due);
	next = gst_word(obj, kind, state, gst_life_of(word));
	gst_record(obj, "given up", next, size >= GST_FULL ? obj->cache : NULL);
	if (cmpxchg(&obj->word, word, next) != word) {
		gst_wrong(obj, "has two owners");
		return false;
	}
	return true;
}

void gst_object_drop(void *p)
{
	struct gst_object *obj = p;
	u64 word = READ_ONCE(obj->word);

	if (!gst_is_word(obj, GST_OURS, word) ||
	    gst_state_of(word) != GST_DEFERRED) {
		gst_wrong(obj,
			  "was not deferred, and its destructor is called: %llx",
			  word);
		return;
	}
	if (!poll_state_synchronize_rcu_full(&obj->due))
		gst_wrong(obj,
			  "gets its destructor before the grace period is over");
	gst_count(GST_PROVEN);
	gst_record(obj, "dropped", word, obj->cache);
	WRITE_ONCE(obj->word,
		   gst_word(obj, GST_OURS, GST_DROPPED, gst_life_of(word)));
}

static bool gst_visible(const void *obj, enum gst_kind kind, u64 word,
			bool typesafe)
{
	return gst_is_word(obj, kind, word) &&
	       (typesafe || gst_state_of(word) == GST_LIVE ||
		gst_state_of(word) == GST_DEFERRED);
}

/* By the clock: whoever is preempted meanwhile does not stay longer for that. */
static void gst_spin(unsigned int us)
{
	ktime_t end = ktime_add_us(ktime_get(), us);

	while (ktime_before(ktime_get(), end))
		cpu_relax();
}

void gst_object_look(void *p, enum gst_kind kind, size_t size, bool typesafe,
		     unsigned int dwell)
{
	struct gst_object *obj = p;
	u64 first = READ_ONCE(obj->word), word;
	unsigned int round;

	gst_count(GST_LOOKS);
	for (round = 0; round < 2; round++) {
		word = READ_ONCE(obj->word);
		if (!gst_visible(obj, kind, word, typesafe) ||
		    (!typesafe && gst_life_of(word) != gst_life_of(first))) {
			gst_wrong(obj,
				  "changed under a reader: %llx, then %llx",
				  first, word);
			return;
		}
		if (!typesafe && !gst_filled(p, size, gst_life_of(first))) {
			gst_wrong(obj,
				  "was overwritten under a reader (life %llu)",
				  gst_life_of(first));
			return;
		}
		if (!round && dwell)
			gst_spin(dwell);
	}
}
