/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _GS_WITNESS_H
#define _GS_WITNESS_H

/* A destructor of another module has run. */
void gs_witness_dtor(void);

#endif /* _GS_WITNESS_H */
