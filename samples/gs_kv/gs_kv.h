/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What /dev/gs_kv speaks.  uapi.rs has the same definitions in Rust.
 *
 * The layouts are the same on 32 and 64 bits.  All calls return 0, or -1 with
 * errno set:
 *
 *	EINVAL	a key that is empty, too long or has a NUL in it; a wait or
 *		linger that is too long
 *	ENOENT	no such key (GET, DEL)
 *	ENOSPC	GS_KV_MAX_ENTRIES entries are in the table (SET)
 *	ENOMEM	no memory (SET, REBUILD)
 *	EFAULT	a bad address
 *	EIO	an entry was freed while a reader held it (GET): a bug
 *	EAGAIN	readers of the bucket array before this one may be left (REBUILD)
 *	ENOTTY	not one of these calls
 */
#ifndef GS_KV_H
#define GS_KV_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The longest key, in bytes. */
#define GS_KV_KEY_MAX		512
#define GS_KV_MAX_ENTRIES	(1u << 20)

/* The longest wait or linger: ten milliseconds or so. */
#define GS_KV_LINGER_MAX	(1u << 14)

struct gs_kv_op {
	__u64 key; /* address of the key's bytes, no NUL */
	__u32 key_len;
	__u16 wait;       /* GET: how long to stay in the read-side section */
	__u16 linger;     /* before looking, and after; else 0 */
	__u64 value;      /* SET: in; GET: out */
	__u64 generation; /* GET: out, grows with every SET of the table */
};

struct gs_kv_stats {
	__u64 entries; /* in the table now */
	__u64 buckets; /* in the current array */
	__u64 resizes; /* bucket arrays replaced */
	__u64 created; /* entries made since the module was loaded */
	__u64 dropped; /* entries whose destructor has run */
	__u64 queued;  /* entries given to free_rcu() */
	__u64 done;    /* of those, back in the cache */
	__u64 early;   /* entries found freed under a reader: a bug */
};

#define GS_KV_IOC		0xc7
#define GS_KV_SET		_IOW(GS_KV_IOC, 1, struct gs_kv_op)
#define GS_KV_DEL		_IOW(GS_KV_IOC, 2, struct gs_kv_op)
#define GS_KV_GET		_IOWR(GS_KV_IOC, 3, struct gs_kv_op)
#define GS_KV_STATS		_IOR(GS_KV_IOC, 4, struct gs_kv_stats)
#define GS_KV_REBUILD		_IO(GS_KV_IOC, 5)	/* another bucket array */

#endif /* GS_KV_H */
