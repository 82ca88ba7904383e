// SPDX-License-Identifier: GPL-2.0
/*
 * The files in debugfs, whose text debugfs.rs writes. They are made here because
 * those of the kernel crate have no owner: these keep the module while they are open.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "shim.h"

#ifdef CONFIG_DEBUG_FS

/*
 * What a cache's files have of their cache is there while one is read or written:
 * the cache has them removed before it goes, which waits for that.
 */
static int gs_file_show(struct seq_file *m, void *v)
{
	gs_rs_file_show(m, debugfs_get_aux_num(m->file), m->private);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(gs_file);

#define gs_capacity_show gs_file_show

static ssize_t gs_capacity_write(struct file *file, const char __user *from,
				 size_t len, loff_t *pos)
{
	/* Room for any number that can be; what is longer is none. */
	char text[16];
	int err;

	if (len > sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, len))
		return -EFAULT;
	err = gs_rs_capacity_write(file_inode(file)->i_private, text, len);
	return err ?: len;
}
DEFINE_SHOW_STORE_ATTRIBUTE(gs_capacity);

static struct dentry *gs_files;

static void gs_file(const char *name, struct dentry *dir, void *core,
		    enum gs_file_id id)
{
	debugfs_create_file_aux_num(name, 0400, dir, core, id, &gs_file_fops);
}

/* Process context; when nothing can keep the module from being loaded any more. */
void gs_sys_files_start(void);
void gs_sys_files_start(void)
{
	gs_files = debugfs_create_dir("graceslab", NULL);
	gs_file("caches", gs_files, NULL, GS_FILE_CACHES);
	gs_file("batcher", gs_files, NULL, GS_FILE_BATCHER);
}

/* Process context; after every cache's have gone. */
void gs_sys_files_stop(void);
void gs_sys_files_stop(void)
{
	debugfs_remove(gs_files);
}

/* The directory of a cache, for gs_sys_cache_files_stop(). Process context. */
void *gs_sys_cache_files_start(const char *name, void *core);
void *gs_sys_cache_files_start(const char *name, void *core)
{
	struct dentry *dir = debugfs_create_dir(name, gs_files);

	gs_file("stats", dir, core, GS_FILE_STATS);
	gs_file("aliases", dir, core, GS_FILE_ALIASES);
	gs_file("children", dir, core, GS_FILE_CHILDREN);
	debugfs_create_file_aux_num("sheaf_capacity", 0600, dir, core,
				    GS_FILE_CAPACITY, &gs_capacity_fops);
	return dir;
}

/* Waits for who reads or writes one. Process context. */
void gs_sys_cache_files_stop(void *dir);
void gs_sys_cache_files_stop(void *dir)
{
	debugfs_remove(dir);
}

#else

void gs_sys_files_start(void);
void gs_sys_files_start(void)
{
}

void gs_sys_files_stop(void);
void gs_sys_files_stop(void)
{
}

void *gs_sys_cache_files_start(const char *name, void *core);
void *gs_sys_cache_files_start(const char *name, void *core)
{
	return NULL;
}

void gs_sys_cache_files_stop(void *dir);
void gs_sys_cache_files_stop(void *dir)
{
}

#endif /* CONFIG_DEBUG_FS */
