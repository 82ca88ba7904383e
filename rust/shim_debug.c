// SPDX-License-Identifier: GPL-2.0
/*
 * The C half of rust/cache/debug.rs: the module's debug parameter, patterns
 * in memory that nobody may write to, and tracks of who had an object.
 *
 * Built without KASAN's checks: this is where memory is looked at that is
 * nobody's.
 */
#include <linux/ctype.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/kasan.h>
#include <linux/kmemleak.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/stackdepot.h>
#include <linux/stacktrace.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <graceslab.h>

#include "shim.h"

/* ---- the module's parameter ----------------------------------------------- */

static const struct gs_debug_letter {
	char letter;
	unsigned long flag;
} gs_debug_letters[] = {
	{ 'F', GS_CONSISTENCY },
	{ 'Z', GS_RED_ZONE },
	{ 'P', GS_POISON },
	{ 'U', GS_STORE_USER },
};

#define GS_DEBUG_ALL (GS_CONSISTENCY | GS_RED_ZONE | GS_POISON | GS_STORE_USER)

/* Flags for every cache that is created from now on. */
static unsigned long gs_debug_flags;

static unsigned long gs_debug_flag(char letter)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(gs_debug_letters); i++)
		if (gs_debug_letters[i].letter == toupper(letter))
			return gs_debug_letters[i].flag;
	return 0;
}

static int gs_debug_set(const char *val, const struct kernel_param *kp)
{
	unsigned long flags = 0;
	const char *p;

	if (!val) {
		flags = GS_DEBUG_ALL;
		val = "";
	}
	for (p = val; *p && *p != '\n'; p++) {
		unsigned long flag = gs_debug_flag(*p);

		if (!flag && *p != '-') {
			pr_err("graceslab: debug=%*pE: '%*pE' is none of F, Z, P, U and -\n",
			       (int)min(strcspn(val, "\n"), 32), val, 1, p);
			return -EINVAL;
		}
		flags |= flag;
	}
	WRITE_ONCE(gs_debug_flags, flags);
	gs_sys_param_changed(gs_rs_debug_changed);
	return 0;
}

static int gs_debug_get(char *buffer, const struct kernel_param *kp)
{
	unsigned long flags = READ_ONCE(gs_debug_flags);
	int i, len = 0;

	for (i = 0; i < ARRAY_SIZE(gs_debug_letters); i++)
		if (flags & gs_debug_letters[i].flag)
			buffer[len++] = gs_debug_letters[i].letter;
	if (!len)
		buffer[len++] = '-';
	buffer[len++] = '\n';
	buffer[len] = '\0';
	return len;
}

static const struct kernel_param_ops gs_debug_ops = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = gs_debug_set,
	.get = gs_debug_get,
};

module_param_cb(debug, &gs_debug_ops, NULL, 0644);
MODULE_PARM_DESC(debug,
		 "Debugging of every cache created from then on: F consistency, Z red zones, P poison (where there is no constructor and memory is not type-safe), U users; alone: all; -: none");

unsigned long gs_sys_debug_flags(void);
unsigned long gs_sys_debug_flags(void)
{
	return READ_ONCE(gs_debug_flags);
}

/* Neither changes once the kernel has booted. */
bool gs_sys_init_on_alloc(void);
bool gs_sys_init_on_alloc(void)
{
	return want_init_on_alloc(0);
}

bool gs_sys_init_on_free(void);
bool gs_sys_init_on_free(void)
{
	return want_init_on_free();
}

/* ---- KASAN ---------------------------------------------------------------------- */

#ifdef CONFIG_KASAN_GENERIC

/* Exported; its declaration, and the values, are in mm/kasan/kasan.h. */
void kasan_poison(const void *addr, size_t size, u8 value, bool init);

#define GS_KASAN_GRANULE	BIT(KASAN_SHADOW_SCALE_SHIFT)
#define GS_KASAN_REDZONE	0xfc
#define GS_KASAN_FREE		0xfb

bool gs_sys_kasan(void);
bool gs_sys_kasan(void)
{
	return true;
}

/* Nobody may use a slab's memory until objects are allocated from it. */
void gs_sys_kasan_cover(const void *pages, size_t size);
void gs_sys_kasan_cover(const void *pages, size_t size)
{
	kasan_poison(pages, round_down(size, GS_KASAN_GRANULE),
		     GS_KASAN_REDZONE, false);
}

/* An object may be used, to its last byte. */
void gs_sys_kasan_alloc(const void *obj, size_t size);
void gs_sys_kasan_alloc(const void *obj, size_t size)
{
	size_t last = size % GS_KASAN_GRANULE;

	kasan_poison(obj, round_up(size, GS_KASAN_GRANULE), 0, false);
	if (last)
		*(u8 *)kasan_mem_to_shadow(obj + size) = last;
}

/* It may not be used any more. */
void gs_sys_kasan_free(const void *obj, size_t size);
void gs_sys_kasan_free(const void *obj, size_t size)
{
	kasan_poison(obj, round_up(size, GS_KASAN_GRANULE), GS_KASAN_FREE,
		     false);
}

/* Whether it was freed, and not allocated since. */
bool gs_sys_kasan_freed(const void *obj);
bool gs_sys_kasan_freed(const void *obj)
{
	return *(u8 *)kasan_mem_to_shadow(obj) == GS_KASAN_FREE;
}

#else

bool gs_sys_kasan(void);
bool gs_sys_kasan(void)
{
	return false;
}

void gs_sys_kasan_cover(const void *pages, size_t size);
void gs_sys_kasan_cover(const void *pages, size_t size)
{
}

void gs_sys_kasan_alloc(const void *obj, size_t size);
void gs_sys_kasan_alloc(const void *obj, size_t size)
{
}

void gs_sys_kasan_free(const void *obj, size_t size);
void gs_sys_kasan_free(const void *obj, size_t size)
{
}

bool gs_sys_kasan_freed(const void *obj);
bool gs_sys_kasan_freed(const void *obj)
{
	return false;
}

#endif /* CONFIG_KASAN_GENERIC */

/* ---- kmemleak -------------------------------------------------------------------- */

bool gs_sys_kmemleak(void);
bool gs_sys_kmemleak(void)
{
	return IS_ENABLED(CONFIG_DEBUG_KMEMLEAK);
}

/* An object is in use, and what it holds is not lost. */
void gs_sys_kmemleak_alloc(const void *obj, size_t size, gfp_t gfp);
void gs_sys_kmemleak_alloc(const void *obj, size_t size, gfp_t gfp)
{
	kmemleak_alloc(obj, size, 1, gfp);
}

/* It is not, or never was. */
void gs_sys_kmemleak_free(const void *obj);
void gs_sys_kmemleak_free(const void *obj)
{
	kmemleak_free(obj);
}

/* ---- patterns ---------------------------------------------------------------- */

struct gs_pattern {
	u8 *at;
	size_t len;
	u8 fill;
	u8 last; /* in the last byte */
};

enum gs_clobbered { GS_LEFT_ZONE, GS_RIGHT_ZONE, GS_POISONED };

static const char * const gs_clobbered_names[] = {
	[GS_LEFT_ZONE] = "left red zone",
	[GS_RIGHT_ZONE] = "right red zone",
	[GS_POISONED] = "poison",
};

/* Bytes that a report shows. */
#define GS_SHOWN 16

void gs_sys_pattern_fill(const struct gs_pattern *pattern);
void gs_sys_pattern_fill(const struct gs_pattern *pattern)
{
	if (pattern->len) {
		memset(pattern->at, pattern->fill, pattern->len - 1);
		pattern->at[pattern->len - 1] = pattern->last;
	}
}

static u8 gs_pattern_byte(const struct gs_pattern *pattern, size_t i)
{
	return i == pattern->len - 1 ? pattern->last : pattern->fill;
}

/* Whether the pattern is as it was drawn; if not, one warning says where. */
bool gs_sys_pattern_check(const struct gs_pattern *pattern, const char *name,
			  unsigned int what, const void *obj);
bool gs_sys_pattern_check(const struct gs_pattern *pattern, const char *name,
			  unsigned int what, const void *obj)
{
	size_t from = 0, to = pattern->len, nr, i;
	u8 found[GS_SHOWN], expected[GS_SHOWN];

	while (from < to && pattern->at[from] == gs_pattern_byte(pattern, from))
		from++;
	if (from == to)
		return true;
	while (pattern->at[to - 1] == gs_pattern_byte(pattern, to - 1))
		to--;
	nr = min_t(size_t, to - from, GS_SHOWN);
	for (i = 0; i < nr; i++) {
		found[i] = pattern->at[from + i];
		expected[i] = gs_pattern_byte(pattern, from + i);
	}
	WARN(1,
	     "graceslab: %s: %s of object 0x%px overwritten at offset %ld, %zu bytes: found %*ph, expected %*ph\n",
	     name, gs_clobbered_names[what], obj,
	     (long)(pattern->at + from - (const u8 *)obj), to - from, (int)nr,
	     found, (int)nr, expected);
	return false;
}

/* The state byte of an object was none of the states; it is repaired. */
void gs_sys_bad_state(const char *name, const void *obj, int state);
void gs_sys_bad_state(const char *name, const void *obj, int state)
{
	WARN(1,
	     "graceslab: %s: state of object 0x%px overwritten: found %02x\n",
	     name, obj, state & 0xff);
}

/* An object that somebody has was found among the free ones: it stays where it is. */
void gs_sys_bad_bit(const char *name, const void *obj, bool deferred);
void gs_sys_bad_bit(const char *name, const void *obj, bool deferred)
{
	WARN(1, "graceslab: %s: free bit of object 0x%px overwritten: it %s\n",
	     name, obj, deferred ? "waits for a grace period" : "is in use");
}

/* ---- tracks ------------------------------------------------------------------- */

enum gs_track_kind { GS_ALLOCATED, GS_FREED, GS_FREED_RCU };

/* Who did it; all zero if nobody has. */
struct gs_track {
	unsigned long when; /* jiffies */
	u32 stack;          /* in the stack depot; 0: there was no room */
	s32 pid;
	u32 cpu;
	u16 kind;
	u16 check; /* of all the others */
	char comm[TASK_COMM_LEN];
};

/* Frames that are kept of a stack. */
#define GS_TRACK_DEPTH 16

static u16 gs_track_check(const struct gs_track *track)
{
	u64 sum = track->when;

	sum = hash_64(sum ^ track->stack, 64);
	sum = hash_64(sum ^ track->pid, 64);
	sum = hash_64(sum ^ track->cpu ^ ((u64)track->kind << 32), 64);
	return hash_64(sum, 16);
}

#ifdef CONFIG_STACKDEPOT

int gs_sys_tracks_init(void);
int gs_sys_tracks_init(void)
{
	return stack_depot_init();
}

/* The frames of a stack that are not ours begin here. */
static unsigned int gs_first_frame(const unsigned long *entries, unsigned int nr)
{
	unsigned int i = 0;

#ifdef MODULE
	while (i < nr && within_module(entries[i], THIS_MODULE))
		i++;
#endif
	return i < nr ? i : 0;
}

static u32 gs_stack_save(gfp_t gfp)
{
	depot_flags_t flags = 0;
	unsigned long entries[GS_TRACK_DEPTH];
	unsigned int nr, first;

	nr = stack_trace_save(entries, ARRAY_SIZE(entries), 1);
	first = gs_first_frame(entries, nr);
	if (gfpflags_allow_spinning(gfp) && !in_nmi())
		flags |= STACK_DEPOT_FLAG_CAN_ALLOC;
	else
		gfp = 0;
	return stack_depot_save_flags(entries + first, nr - first,
				      gfp | __GFP_NOWARN, flags);
}

static void gs_stack_print(u32 stack)
{
	unsigned long *entries = NULL;
	unsigned int nr, i;

	nr = stack_depot_fetch(stack, &entries);
	if (!nr)
		pr_err("graceslab:   (no stack)\n");
	for (i = 0; i < nr; i++)
		pr_err("graceslab:   %pS\n", (void *)entries[i]);
}

#else

int gs_sys_tracks_init(void);
int gs_sys_tracks_init(void)
{
	return 0;
}

static u32 gs_stack_save(gfp_t gfp)
{
	return 0;
}

static void gs_stack_print(u32 stack)
{
}

#endif /* CONFIG_STACKDEPOT */

/* An object's tracks: its last allocation, and its last free. */
size_t gs_sys_tracks_bytes(void);
size_t gs_sys_tracks_bytes(void)
{
	return 2 * sizeof(struct gs_track);
}

void gs_sys_track_set(struct gs_track *tracks, unsigned int kind, gfp_t gfp);
void gs_sys_track_set(struct gs_track *tracks, unsigned int kind, gfp_t gfp)
{
	struct gs_track track = {
		.when = jiffies,
		.stack = gs_stack_save(gfp),
		.pid = current->pid,
		.cpu = raw_smp_processor_id(),
		.kind = kind,
	};

	strscpy_pad(track.comm, current->comm, sizeof(track.comm));
	track.check = gs_track_check(&track);
	memcpy(&tracks[kind != GS_ALLOCATED], &track, sizeof(track));
}

static const char * const gs_track_names[] = {
	[GS_ALLOCATED] = "allocated",
	[GS_FREED] = "freed",
	[GS_FREED_RCU] = "freed after a grace period",
};

static void gs_track_print(const char *name, const void *obj,
			   struct gs_track *track)
{
	unsigned long age;

	if (!memchr_inv(track, 0, sizeof(*track)))
		return;
	if (track->kind >= ARRAY_SIZE(gs_track_names) ||
	    track->check != gs_track_check(track)) {
		pr_err("graceslab: %s: a track of object 0x%px is overwritten\n",
		       name, obj);
		return;
	}
	age = jiffies_to_msecs(jiffies - track->when);
	pr_err("graceslab: %s: object 0x%px %s by %.*s (%d) on CPU %u, %lu.%03lu s ago\n",
	       name, obj, gs_track_names[track->kind], (int)sizeof(track->comm),
	       track->comm, track->pid, track->cpu, age / MSEC_PER_SEC,
	       age % MSEC_PER_SEC);
	gs_stack_print(track->stack);
}

/* Prints who had the object; it need not be there any more. */
void gs_sys_tracks_print(const char *name, const void *obj,
			 const struct gs_track *tracks);
void gs_sys_tracks_print(const char *name, const void *obj,
			 const struct gs_track *tracks)
{
	struct gs_track copy[2];
	bool gone;

	kasan_disable_current();
	gone = copy_from_kernel_nofault(copy, tracks, sizeof(copy));
	kasan_enable_current();
	if (gone)
		return;
	gs_track_print(name, obj, &copy[0]);
	gs_track_print(name, obj, &copy[1]);
}
