// SPDX-License-Identifier: GPL-2.0
/*
 * Random input for whatever a user can reach: /dev/gs_kv, every file of
 * graceslab's in debugfs and every parameter of the modules in sysfs.
 *
 * usage: gs_fuzz SEED INPUTS SECONDS PROCESSES PATH...
 *
 * Ends after so many inputs or so many seconds, whichever comes first. A PATH is
 * a file or a directory, which is searched. An input is one call with random
 * contents: half of them are almost right, so that they get further than the
 * first check. What a call returns is counted, and must be an error or make
 * sense; whether the kernel minds, the log tells.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../samples/gs_kv/gs_kv.h"

typedef __u64 u64;
typedef __u32 u32;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define MAX_PROCESSES	16
#define MAX_FILES	256
#define KEYS		4096
#define ROOM		16384

struct counts {
	_Atomic u64 ioctls, reads, writes, others, taken, wrong;
} __attribute__((aligned(64)));

static struct counts *counts; /* one for each process */
static char files[MAX_FILES][256];
static int nr_files;
static const char device[] = "/dev/gs_kv";

/* ---- random numbers: xorshift64* ----------------------------------------- */

static u64 state;

static u64 any(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

static u32 below(u32 n)
{
	return (any() >> 32) % n;
}

static int one_in(u32 n)
{
	return !below(n);
}

static u64 edge(void)
{
	static const u64 edges[] = {
		/* clang-format off */
		0, 1, 2, 7, 8, 255, 256, 511, 512, 513, 4095, 4096, 65535, 65536,
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
		0x8000000000000000, ~0ull, 0x7ffffffff000, 0xffff800000000000,
		0xffffffff80000000,
		/* clang-format on */
	};

	return one_in(3) ? any() : edges[below(ARRAY_SIZE(edges))];
}

/* ---- the device ------------------------------------------------------------ */

/* Two pages, then one that nobody may touch. */
static char *room;
static size_t room_size;

static u32 key_fill(char *key, u32 which)
{
	u32 len = 1 + which % 40, i;

	for (i = 0; i < len; i++)
		key[i] = 1 + (which * 31 + i * 17) % 255;
	memcpy(key, &(u32){ which | 0x01010101 }, len < 4 ? len : 4);
	return len;
}

static u64 any_key(struct gs_kv_op *op)
{
	char *end = room + room_size;
	u32 len, i;

	switch (below(16)) {
	case 0:
		op->key_len = edge();
		return edge();
	case 1:
		/* Over the end of what is mapped. */
		op->key_len = below(600);
		return (uintptr_t)(end - below(600));
	case 2:
		op->key_len = edge();
		return (uintptr_t)room;
	case 3:
		if (!one_in(8))
			break;
		len = 1 + below(GS_KV_KEY_MAX);
		for (i = 0; i < len; i++)
			room[i] = any();
		op->key_len = len;
		return (uintptr_t)room;
	}
	op->key_len = key_fill(room, below(KEYS));
	return (uintptr_t)room;
}

static unsigned long any_command(void)
{
	static const unsigned long commands[] = {
		GS_KV_SET,
		GS_KV_DEL,
		GS_KV_GET,
		GS_KV_STATS,
	};
	unsigned long command = commands[below(4)];

	switch (below(32)) {
	case 0:
		return any();
	case 1:
		return command ^ (1ul << below(32));
	case 2:
		return one_in(64) ? GS_KV_REBUILD : command;
	default:
		return command;
	}
}

static int understood(int error)
{
	switch (error) {
	case EINVAL:
	case ENOENT:
	case ENOSPC:
	case ENOMEM:
	case EFAULT:
	case EAGAIN:
	case ENOTTY:
		return 1;
	default:
		/* Also what the kernel says to commands of its own. */
		return error != EIO;
	}
}

static void fuzz_ioctl(int fd, struct counts *c)
{
	unsigned long command = any_command();
	union {
		struct gs_kv_op op;
		struct gs_kv_stats stats;
	} arg;
	void *where = &arg;
	int ret;

	memset(&arg, 0, sizeof(arg));
	arg.op.key = any_key(&arg.op);
	arg.op.value = any();
	arg.op.generation = any();
	if (one_in(64)) {
		/* A long one takes 10 ms. */
		arg.op.wait = one_in(64) ? any() : below(64);
		arg.op.linger = one_in(64) ? any() : below(64);
	}
	if (one_in(32))
		where = one_in(2) ? (void *)(uintptr_t)edge() :
				    room + room_size - below(40);
	ret = ioctl(fd, command, where);
	c->ioctls++;
	if (!ret)
		c->taken++;
	else if (!understood(errno))
		c->wrong++;
}

/* ---- files ------------------------------------------------------------------- */

static size_t any_text(char *text, size_t room_for)
{
	static const char * const almost[] = {
		/* clang-format off */
		"0", "1", "10", "60", "1020", "1021", "-1", "0x10", "1x", "", "F", "FZPU",
		"-", "Q", "4294967295", "4294967296", "99999999999999999999", " 7", "7 8",
		"%s%n", "on", "Y",
		/* clang-format on */
	};
	size_t len, i;

	switch (below(4)) {
	case 0:
		len = below(one_in(16) ? room_for : 64);
		for (i = 0; i < len; i++)
			text[i] = any();
		return len;
	case 1:
		return snprintf(text, room_for, "%lld\n", (long long)edge());
	case 2:
		return snprintf(text, room_for, "%s\n",
				almost[below(ARRAY_SIZE(almost))]);
	default:
		len = snprintf(text, room_for, "%s",
			       almost[below(ARRAY_SIZE(almost))]);
		if (len)
			text[below(len)] ^= 1 << below(8);
		return len;
	}
}

static void fuzz_other(int fd)
{
	struct pollfd p = { .fd = fd, .events = any() };
	void *map;

	switch (below(6)) {
	case 0:
		lseek(fd, edge(), below(6));
		break;
	case 1:
		map = mmap(NULL, 4096 << below(3), 1 + below(3), 1 + below(2),
			   fd, edge() & ~4095ull);
		if (map != MAP_FAILED)
			munmap(map, 4096);
		break;
	case 2:
		poll(&p, 1, 0);
		break;
	case 3:
		if (ftruncate(fd, below(100)))
			break;
		break;
	case 4:
		fsync(fd);
		break;
	default:
		ioctl(fd, any(), edge());
	}
}

static void fuzz_file(const char *path, struct counts *c)
{
	static char text[ROOM];
	int parameter = !strncmp(path, "/sys/module/", 12);
	int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	int fd = open(path, modes[below(3)] | O_NONBLOCK | O_CLOEXEC);
	ssize_t n;

	/* A refusal is a line in the log: not too many of them. */
	if (fd < 0)
		return;
	switch (below(8)) {
	case 0:
		fuzz_other(fd);
		c->others++;
		break;
	case 1:
		n = pread(fd, one_in(16) ? (void *)(uintptr_t)edge() : text,
			  one_in(16) ? edge() : below(ROOM), edge());
		c->reads++;
		break;
	case 2 ... 3:
		n = read(fd, text, below(ROOM));
		if (n >= 0 && one_in(2))
			n = read(fd, text, below(ROOM));
		c->reads++;
		break;
	default:
		if (parameter && !one_in(64))
			break;
		n = any_text(text, ROOM - 1);
		if (one_in(8))
			n = pwrite(fd,
				   one_in(4) ? (void *)(uintptr_t)edge() : text,
				   n, edge());
		else
			n = write(fd, text,
				  one_in(64) ? (size_t)edge() : (size_t)n);
		c->writes++;
		c->taken += n > 0;
	}
	close(fd);
}

/* ---- processes ----------------------------------------------------------------- */

static void fuzz(struct counts *c, u64 inputs, time_t end)
{
	int fd = open(device, O_RDWR | O_CLOEXEC);
	u64 i, made = 0;

	if (fd < 0 && access(device, F_OK) == 0) {
		perror(device);
		exit(1);
	}
	for (i = 0; made < inputs; i++) {
		made = c->ioctls + c->reads + c->writes + c->others;
		if (!(i % 1024) && time(NULL) >= end)
			break;
		if (one_in(4096) && fd >= 0) {
			close(fd);
			fd = open(device, one_in(2) ? O_RDWR : O_RDONLY);
		}
		if (fd >= 0 && !one_in(16))
			fuzz_ioctl(fd, c);
		else
			fuzz_file(one_in(8) ? device : files[below(nr_files)],
				  c);
	}
	exit(0);
}

static void find(const char *path)
{
	char inner[256];
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	if (lstat(path, &st))
		return;
	if (S_ISREG(st.st_mode) && nr_files < MAX_FILES) {
		snprintf(files[nr_files++], sizeof(files[0]), "%s", path);
		return;
	}
	dir = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' ||
		    snprintf(inner, sizeof(inner), "%s/%s", path,
			     entry->d_name) >= (int)sizeof(inner))
			continue;
		find(inner);
	}
	if (dir)
		closedir(dir);
}

int main(int argc, char **argv)
{
	u64 seed, inputs, done, taken = 0, wrong = 0, sums[4] = {};
	int processes, i, status, bad = 0;
	time_t end;

	if (argc < 6) {
		fprintf(stderr,
			"usage: gs_fuzz SEED INPUTS SECONDS PROCESSES PATH...\n");
		return 2;
	}
	seed = strtoull(argv[1], NULL, 0);
	inputs = strtoull(argv[2], NULL, 0);
	end = time(NULL) + atoi(argv[3]);
	processes = atoi(argv[4]);
	if (processes < 1 || processes > MAX_PROCESSES)
		return 2;
	for (i = 5; i < argc; i++)
		find(argv[i]);
	for (i = 0; i < nr_files; i++)
		printf("gs_fuzz: %s\n", files[i]);
	counts = mmap(NULL, sizeof(*counts) * MAX_PROCESSES,
		      PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	room_size = 8192;
	room = mmap(NULL, room_size + 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED || room == MAP_FAILED || !nr_files) {
		fprintf(stderr, "gs_fuzz: no memory, or no file to write to\n");
		return 1;
	}
	mprotect(room + room_size, 4096, PROT_NONE);
	fflush(stdout);
	for (i = 0; i < processes; i++) {
		if (fork())
			continue;
		state = (seed + 1) * 0x9e3779b97f4a7c15ull +
			i * 0x632be59bd9b4e019ull + 1;
		fuzz(&counts[i], inputs / processes, end);
	}
	while (wait(&status) > 0)
		bad += status != 0;
	for (i = 0; i < processes; i++) {
		sums[0] += counts[i].ioctls;
		sums[1] += counts[i].reads;
		sums[2] += counts[i].writes;
		sums[3] += counts[i].others;
		taken += counts[i].taken;
		wrong += counts[i].wrong;
	}
	done = sums[0] + sums[1] + sums[2] + sums[3];
	printf("gs_fuzz: seed %llu: %llu inputs (%llu ioctls, %llu reads, %llu writes, %llu others) to %d files, %llu taken, %llu wrong answers, %d processes died\n",
	       (unsigned long long)seed, (unsigned long long)done,
	       (unsigned long long)sums[0], (unsigned long long)sums[1],
	       (unsigned long long)sums[2], (unsigned long long)sums[3],
	       nr_files + 1, (unsigned long long)taken,
	       (unsigned long long)wrong, bad);
	return bad || wrong || !taken;
}
