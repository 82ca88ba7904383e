/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _GS_RESIZE_READERS_H
#define _GS_RESIZE_READERS_H

/* What the readers have done since they were started. */
struct gs_reads {
	unsigned long reads;
	unsigned long outlived; /* the table was replaced meanwhile, and read on */
	unsigned long wrong;
};

/* One on each CPU; there must be a table. The caller stays on its CPU. */
int gs_readers_start(void);
/*
 * Between these two a reader on another CPU, if there is one, has the table,
 * and leaves only after it has been replaced, or after the second one.
 */
void gs_readers_meet(void);
void gs_readers_part(void);
struct gs_reads gs_readers_stop(void);

#endif /* _GS_RESIZE_READERS_H */
