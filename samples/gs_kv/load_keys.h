/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The keys: the symbols of a System.map with their addresses.
 */
#ifndef GS_KV_LOAD_KEYS_H
#define GS_KV_LOAD_KEYS_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "load_common.h"

struct key {
	char *name;
	u32 len;
	u64 addr;
};

static struct key *keys;
static size_t nr_keys;

static u64 hash_name(const char *name)
{
	u64 hash = 0xcbf29ce484222325ull;

	while (*name)
		hash = (hash ^ (unsigned char)*name++) * 0x100000001b3ull;
	return hash;
}

/* Counts how often a name came before. Open addressing; never full. */
struct seen {
	const char *name;
	unsigned int times;
};

static unsigned int seen_before(struct seen *table, size_t size,
				const char *name)
{
	size_t i = hash_name(name) & (size - 1);

	while (table[i].name && strcmp(table[i].name, name))
		i = (i + 1) & (size - 1);
	table[i].name = name;
	return table[i].times++;
}

static void read_keys(const char *path)
{
	char *line = NULL;
	size_t room = 0, size = 1;
	unsigned long lineno = 0;
	struct seen *seen;
	FILE *f;

	f = fopen(path, "r");
	if (!f)
		die("%s: %s", path, strerror(errno));
	while (getline(&line, &room, f) > 0) {
		unsigned long long addr;
		int at = 0;
		char type;

		lineno++;
		if (sscanf(line, "%llx %c %n", &addr, &type, &at) != 2 || !at)
			die("%s:%lu: not a line of a System.map", path, lineno);
		line[strcspn(line, "\n")] = '\0';
		if (!line[at])
			die("%s:%lu: no name", path, lineno);
		if (!(nr_keys & (nr_keys - 1))) {
			keys = realloc(keys, (nr_keys ? nr_keys * 2 : 1) *
						     sizeof(*keys));
			if (!keys)
				die("no memory");
		}
		keys[nr_keys].name = strdup(line + at);
		keys[nr_keys].addr = addr;
		nr_keys++;
	}
	if (ferror(f))
		die("%s: %s", path, strerror(errno));
	free(line);
	fclose(f);
	if (nr_keys < 64)
		die("%s: only %zu symbols", path, nr_keys);
	if (nr_keys > GS_KV_MAX_ENTRIES)
		die("%s: %zu symbols are more than the table holds", path,
		    nr_keys);

	while (size < 2 * nr_keys)
		size *= 2;
	seen = calloc(size, sizeof(*seen));
	if (!seen)
		die("no memory");
	for (size_t i = 0; i < nr_keys; i++) {
		struct key *k = &keys[i];
		unsigned int before = seen_before(seen, size, k->name);
		char *name;

		/* The first one's string stays: it is in the table of names. */
		if (before) {
			if (asprintf(&name, "%s#%u", k->name, before + 1) < 0)
				die("no memory");
			k->name = name;
		}
		k->len = strlen(k->name);
		if (k->len > GS_KV_KEY_MAX)
			die("a symbol of %u bytes does not fit a key: %s",
			    k->len, k->name);
	}
	free(seen);
}

#endif /* GS_KV_LOAD_KEYS_H */
