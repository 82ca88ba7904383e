/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What graceslab exports for its Rust interface: frees that find the cache by
 * the object.
 */
#ifndef _GS_OBJECT_H
#define _GS_OBJECT_H

void gs_object_free(void *obj);
void gs_object_free_rcu(void *obj);
void gs_object_drop_rcu(void *obj, void (*dtor)(void *obj));

#endif /* _GS_OBJECT_H */
