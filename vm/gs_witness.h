/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _GS_WITNESS_H
#define _GS_WITNESS_H

/* A destructor of another module has run. */
void gs_witness_dtor(void);

/*
 * Hold an RCU reader on the last CPU, and let it go: what is freed in between is
 * pending until then. By one task at a time, which may sleep.
 */
int gs_witness_enter(void);
void gs_witness_leave(void);

#endif /* _GS_WITNESS_H */
