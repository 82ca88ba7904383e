// SPDX-License-Identifier: GPL-2.0
/*
 * Feeds /dev/gs_kv with the symbols of a System.map, overwrites and deletes
 * them while other processes read, and checks each value that is read.
 *
 * load_truth.h says how they know; load_keys.h reads the System.map.
 *
 * A reader also never goes back: the table's generation of a key does not
 * decrease from one of its reads to the next.
 *
 * Readers and writers are processes and not threads: there is one of each on
 * every CPU.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "load_common.h"
#include "load_errors.h"
#include "load_keys.h"
#include "load_truth.h"

#define MAX_CPUS	256
#define MAX_UNLOADS	4
#define TOLD_ABOUT	5	/* wrong reads that each reader describes */

#define FEW_KEYS	127
#define HOT_KEYS	8
#define WAIT_SHORT	64	/* some 30 us */
#define WAIT_LONG	8192	/* some 4 ms */

/* --self-test: keys about which the truth is wrong on purpose. */
#define BAIT_VALUE	0	/* checked against another address */
#define BAIT_ABSENT	1	/* deleted behind the truth's back */
#define NR_BAITS	2

/* What one process counts; nobody else writes it. */
struct counts {
	_Atomic u64 reads;
	_Atomic u64 lingered;
	_Atomic u64 absent; /* reads that found no key, rightly */
	_Atomic u64 wrong;
	_Atomic u64 baits[NR_BAITS]; /* wrong on purpose, and seen to be */
	_Atomic u64 adds;
	_Atomic u64 overwrites;
	_Atomic u64 deletes;
	_Atomic bool loaded;
} __attribute__((aligned(64)));

struct shared {
	_Atomic bool stop;
	struct counts readers[MAX_CPUS];
	struct counts writers[MAX_CPUS];
};

static const char *device = "/dev/gs_kv";
static struct truth *truth;
static struct shared *shared;
static int cpus[MAX_CPUS];
static int nr_cpus;
static cpu_set_t all_cpus;
static bool self_test;

static void bump(_Atomic u64 *count)
{
	/* One writer: an addition need not be atomic. */
	u64 next = atomic_load_explicit(count, memory_order_relaxed) + 1;

	atomic_store_explicit(count, next, memory_order_relaxed);
}

static u64 total(const struct counts *of, size_t offset)
{
	u64 sum = 0;

	for (int i = 0; i < nr_cpus; i++)
		sum += *(_Atomic u64 *)((char *)&of[i] + offset);
	return sum;
}

#define READERS(what)	total(shared->readers, offsetof(struct counts, what))
#define WRITERS(what)	total(shared->writers, offsetof(struct counts, what))

static u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

static u64 next_random(u64 *state)
{
	/* xorshift64* */
	u64 x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * 0x2545f4914f6cdd1dull >> 20;
}

/* Calls */

static int open_device(void)
{
	int fd = open(device, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("%s: %s", device, strerror(errno));
	return fd;
}

static struct gs_kv_op op_for(size_t i, u64 value)
{
	return (struct gs_kv_op){
		.key = (uintptr_t)keys[i].name,
		.key_len = keys[i].len,
		.value = value,
	};
}

static void set(int fd, size_t i, u64 value)
{
	struct gs_kv_op op = op_for(i, value);

	if (ioctl(fd, GS_KV_SET, &op))
		die("set %s: %s", keys[i].name, strerror(errno));
}

/* Returns whether there was such a key. */
static bool del(int fd, size_t i)
{
	struct gs_kv_op op = op_for(i, 0);

	if (!ioctl(fd, GS_KV_DEL, &op))
		return true;
	if (errno != ENOENT)
		die("delete %s: %s", keys[i].name, strerror(errno));
	return false;
}

static void get_stats(int fd, struct gs_kv_stats *stats)
{
	if (ioctl(fd, GS_KV_STATS, stats))
		die("stats: %s", strerror(errno));
}

/* Replaces the bucket array, as often as readers allow it. */
static void rebuild(int fd)
{
	if (ioctl(fd, GS_KV_REBUILD) && errno != EAGAIN)
		die("rebuild: %s", strerror(errno));
}

/*
 * One key in two is a hot one, of which there are some for each CPU: what one
 * process reads another is about to free.
 */
static size_t pick(u64 *random, size_t first, size_t step)
{
	u64 r = next_random(random);
	size_t nr = (nr_keys - first + step - 1) / step;

	if (r % 2 && nr > HOT_KEYS)
		nr = HOT_KEYS;
	return first + (r >> 1) % nr * step;
}

/* Writers */

static void write_key(int fd, struct counts *c, size_t i, bool delete)
{
	struct truth *t = &truth[i];
	u64 old = atomic_load_explicit(&t->done, memory_order_relaxed);
	u64 new = WORD(NUMBER(old) + 1, delete);

	atomic_store(&t->begin, new);
	if (delete) {
		if (!del(fd, i))
			die("delete %s: no such key, but nobody else deletes it",
			    keys[i].name);
		bump(&c->deletes);
	} else {
		set(fd, i, value_of(keys[i].addr, NUMBER(new)));
		bump(DELETED(old) ? &c->adds : &c->overwrites);
	}
	atomic_store(&t->done, new);
}

/*
 * First loads its keys. Then, in turns, mostly deletes, so that the table
 * becomes small, and mostly writes, so that it grows again.
 */
static void writer(int fd, int me)
{
	struct counts *c = &shared->writers[me];
	u64 random = 0x5eed0000u + (u64)me;
	size_t step = (size_t)nr_cpus;

	for (size_t i = (size_t)me; i < nr_keys; i += step)
		write_key(fd, c, i, false);
	atomic_store(&c->loaded, true);

	while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
		bool thin = now_ms() / 400 % 2;

		for (int n = 0; n < 64; n++) {
			size_t i = pick(&random, (size_t)me, step);
			bool seldom = next_random(&random) % 16 == 0;
			u64 done = atomic_load_explicit(&truth[i].done,
							memory_order_relaxed);
			bool absent = DELETED(done);

			if (self_test && i < NR_BAITS)
				continue;
			if (!absent)
				write_key(fd, c, i, thin != seldom);
			else if (thin == seldom)
				write_key(fd, c, i, false);
		}
	}
}

/* Readers */

static void read_key(int fd, struct counts *c, size_t i, unsigned int wait,
		     unsigned int linger, u64 *generations)
{
	u64 addr = keys[i].addr + (self_test && i == BAIT_VALUE ? 8 : 0);
	struct gs_kv_op op = op_for(i, 0);
	u64 done, begin;
	const char *wrong;
	bool found;

	op.wait = wait;
	op.linger = linger;
	done = atomic_load(&truth[i].done);
	found = !ioctl(fd, GS_KV_GET, &op);
	if (!found && errno == EIO)
		wrong = "an entry that was freed while it was read";
	else if (!found && errno != ENOENT)
		die("get %s: %s", keys[i].name, strerror(errno));
	else
		wrong = NULL;
	begin = atomic_load(&truth[i].begin);

	if (!wrong)
		wrong = judge(addr, done, begin, found, op.value);
	if (!wrong && found && op.generation < generations[i])
		wrong = "an older value than was read before";
	if (found)
		generations[i] = op.generation;

	bump(&c->reads);
	if (wait || linger)
		bump(&c->lingered);
	if (!wrong) {
		if (!found)
			bump(&c->absent);
		return;
	}

	if (self_test && i < NR_BAITS) {
		bump(&c->baits[i]);
		return;
	}
	if (c->wrong < TOLD_ABOUT)
		complain("WRONG READ of %s: %s (value %#llx, address %#llx, writes %llu%s to %llu%s)",
			 keys[i].name, wrong, found ? op.value : 0, addr,
			 NUMBER(done), DELETED(done) ? "d" : "", NUMBER(begin),
			 DELETED(begin) ? "d" : "");
	bump(&c->wrong);
}

static void reader(int fd, int me)
{
	struct counts *c = &shared->readers[me];
	u64 random = 0xbeef0000u + (u64)me, rounds = 0;
	u64 *generations = calloc(nr_keys, sizeof(*generations));

	if (!generations)
		die("no memory");
	while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
		/*
		 * Now and then for long enough to meet the end of a grace
		 * period that began before: it did not wait for this reader.
		 */
		if (++rounds % 8 == 0)
			read_key(fd, c, next_random(&random) % HOT_KEYS, 0,
				 WAIT_LONG, generations);
		for (int n = 0; n < 64; n++) {
			size_t i = pick(&random, 0, 1);

			if (self_test && n < NR_BAITS)
				i = (size_t)n;
			if (n % 8)
				read_key(fd, c, i, 0, 0, generations);
			else
				read_key(fd, c, i, WAIT_SHORT, WAIT_SHORT,
					 generations);
		}
	}
}

/* The run */

static void find_cpus(void)
{
	if (sched_getaffinity(0, sizeof(all_cpus), &all_cpus))
		die("sched_getaffinity: %s", strerror(errno));
	for (int cpu = 0; cpu < CPU_SETSIZE && nr_cpus < MAX_CPUS; cpu++)
		if (CPU_ISSET(cpu, &all_cpus))
			cpus[nr_cpus++] = cpu;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot run on CPU %d: %s", cpu, strerror(errno));
}

static pid_t start(void (*run)(int fd, int me), int me)
{
	pid_t parent = getpid();
	pid_t pid = fork();
	int fd;

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	pin(cpus[me]);
	fd = open_device();
	run(fd, me);
	close(fd);
	_exit(0);
}

/* Waits for one process; 0 if it ended well, 1 if not, -1 if none ended. */
static int reap(int flags)
{
	int status;
	pid_t pid = waitpid(-1, &status, flags);

	if (pid <= 0)
		return -1;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFSIGNALED(status))
		complain("a process was killed by signal %d", WTERMSIG(status));
	return 1;
}

static void *map_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return p;
}

static void progress(u64 ms, int fd)
{
	struct gs_kv_stats s;

	get_stats(fd, &s);
	printf("gs_kv_load: %llu.%llu s: %llu keys in %llu buckets, %llu reads checked, ",
	       ms / 1000, ms % 1000 / 100, s.entries, s.buckets,
	       READERS(reads));
	printf("%llu overwrites, %llu deletes, %llu resizes, %llu wrong\n",
	       WRITERS(overwrites), WRITERS(deletes), s.resizes,
	       READERS(wrong));
	fflush(stdout);
}

/* With everyone gone, each key is read once more and must be the last write. */
static u64 check_all(int fd)
{
	static struct counts c;
	u64 *generations = calloc(nr_keys, sizeof(*generations));

	if (!generations)
		die("no memory");
	for (size_t i = 0; i < nr_keys; i++)
		read_key(fd, &c, i, 0, 0, generations);
	free(generations);
	return c.wrong;
}

static bool all_loaded(void)
{
	for (int i = 0; i < nr_cpus; i++)
		if (!atomic_load(&shared->writers[i].loaded))
			return false;
	return true;
}

/* Empties the table: the history of what is in it is not known. */
static void start_afresh(int fd)
{
	struct gs_kv_stats stats;
	u32 longest = 0;

	truth = map_shared(nr_keys * sizeof(*truth));
	shared = map_shared(sizeof(*shared));

	get_stats(fd, &stats);
	for (size_t i = 0; i < nr_keys; i++) {
		if (stats.entries)
			del(fd, i);
		atomic_store(&truth[i].begin, WORD(0, 1));
		atomic_store(&truth[i].done, WORD(0, 1));
		if (keys[i].len > longest)
			longest = keys[i].len;
	}
	get_stats(fd, &stats);
	if (stats.entries)
		die("%llu keys in the table are not ours", stats.entries);
	printf("gs_kv_load: %zu keys of up to %u bytes; a reader and a writer on each of %d CPUs\n",
	       nr_keys, longest, nr_cpus);
	fflush(stdout);
}

/*
 * Replaces the bucket array of a small table as fast as it can under a reader
 * that lingers long enough to meet several new ones, if the table let it.
 */
static void outlast_reader(int fd, int me)
{
	u64 generations[FEW_KEYS] = { 0 };

	for (int n = 0; n < 64; n++)
		read_key(fd, &shared->readers[me], (size_t)n * 7 % FEW_KEYS,
			 WAIT_LONG, 0, generations);
}

static int outlast(int fd)
{
	static struct counts c;
	int ended;

	for (size_t i = 0; i < FEW_KEYS; i++)
		write_key(fd, &c, i, false);
	start(outlast_reader, 0);
	pin(cpus[nr_cpus - 1]);
	while ((ended = reap(WNOHANG)) < 0)
		rebuild(fd);
	sched_setaffinity(0, sizeof(all_cpus), &all_cpus);
	for (size_t i = 0; i < FEW_KEYS; i++)
		write_key(fd, &c, i, true);
	return ended;
}

/*
 * Lets readers race writers until some seconds after all keys are loaded.
 * Returns how many processes did not end as they should.
 */
static int race(int fd, unsigned int seconds)
{
	u64 began = now_ms(), last = began, loaded = 0, now;
	int failed = 0, living = 0, ended;

	for (int i = 0; i < nr_cpus; i++) {
		start(reader, i);
		start(writer, i);
		living += 2;
	}
	do {
		usleep(5 * 1000);
		for (int i = 0; i < 4; i++)
			rebuild(fd);
		now = now_ms();
		ended = reap(WNOHANG);
		if (ended >= 0) {
			complain("a process ended too early");
			failed++;
			living--;
			break;
		}
		if (!loaded && all_loaded()) {
			loaded = now;
			printf("gs_kv_load: all %zu keys loaded in %llu ms\n",
			       nr_keys, now - began);
			fflush(stdout);
			if (self_test)
				del(fd, BAIT_ABSENT);
		}
		if (now - last >= 1000) {
			progress(now - began, fd);
			last = now;
		}
	} while (!loaded || now - loaded < seconds * 1000ull);

	atomic_store(&shared->stop, true);
	while (living--)
		failed += reap(0) != 0;
	progress(now_ms() - began, fd);
	return failed;
}

static bool all_readers_read(void)
{
	for (int i = 0; i < nr_cpus; i++)
		if (!shared->readers[i].reads)
			return false;
	return true;
}

static int load(unsigned int seconds)
{
	struct gs_kv_stats before, after;
	u64 absent, overwrites, deletes, resizes, wrong, left;
	int fd = open_device();
	int failed;

	start_afresh(fd);
	check_errors(fd);
	get_stats(fd, &before);
	if (before.entries)
		die("FAIL: a call that failed left a key");
	failed = outlast(fd) + race(fd, seconds);
	left = check_all(fd);
	get_stats(fd, &after);
	close(fd);

	absent = READERS(absent);
	overwrites = WRITERS(overwrites);
	deletes = WRITERS(deletes);
	resizes = after.resizes - before.resizes;
	wrong = READERS(wrong);
	printf("gs_kv_load: %zu keys, %llu reads checked (%llu found no key, %llu lingered), ",
	       nr_keys, READERS(reads), absent, READERS(lingered));
	printf("%llu adds, %llu overwrites, %llu deletes, %llu resizes, %llu wrong reads\n",
	       WRITERS(adds), overwrites, deletes, resizes, wrong);
	printf("gs_kv_load: %llu entries made, %llu freed by free_rcu: %llu of these done, %llu pending\n",
	       after.created, after.queued, after.done,
	       after.queued - after.done);
	fflush(stdout);

	if (failed) {
		complain("FAIL: a reader or writer did not end well");
		return 1;
	}
	if (wrong || left || after.early) {
		complain("FAIL: %llu wrong reads, %llu keys wrong at the end, %llu freed too early",
			 wrong, left, after.early);
		return 1;
	}
	if (self_test) {
		u64 value = READERS(baits[BAIT_VALUE]);
		u64 lost = READERS(baits[BAIT_ABSENT]);

		if (!value || !lost) {
			complain("FAIL: self-test: wrong on purpose, and no reader said so");
			return 1;
		}
		printf("gs_kv_load: self-test: the readers reported a wrong value %llu times, ",
		       value);
		printf("a lost key %llu times, nothing else\n", lost);
		return 0;
	}
	/* A run that did not do all of these has shown nothing. */
	if (!all_readers_read() || !absent || !overwrites || !deletes ||
	    !resizes) {
		complain("FAIL: nothing shown: something of the above is zero, or a CPU's reader idle");
		return 1;
	}
	return 0;
}

/* --burst: queues frees on every CPU and leaves at once. */

static unsigned int burst_size;

static void burst_one(int fd, int me)
{
	for (int round = 0; round < 2; round++)
		for (size_t n = 0; n < burst_size; n++)
			set(fd, (n * (size_t)nr_cpus + (size_t)me) % nr_keys, n);
}

static int burst(char * const *unloads, int nr_unloads)
{
	int failed = 0;
	int fd;

	for (int i = 0; i < nr_cpus; i++)
		start(burst_one, i);
	for (int i = 0; i < nr_cpus; i++)
		failed += reap(0) != 0;

	/* The last ones come from here, to be pending when the module goes. */
	fd = open_device();
	burst_one(fd, 0);
	close(fd);
	for (int i = 0; i < nr_unloads; i++) {
		if (syscall(SYS_delete_module, unloads[i], O_NONBLOCK)) {
			complain("FAIL: unload %s: %s", unloads[i],
				 strerror(errno));
			return 1;
		}
	}
	if (failed) {
		complain("FAIL: a process of the burst did not end well");
		return 1;
	}
	printf("gs_kv_load: burst: %llu writes",
	       2ull * burst_size * (unsigned int)(nr_cpus + 1));
	for (int i = 0; i < nr_unloads; i++)
		printf("%s%s", i ? ", then " : ", then at once unloaded ",
		       unloads[i]);
	printf("\n");
	return 0;
}

static void usage(FILE *to)
{
	fputs("usage: gs_kv_load [--device PATH] [--seconds N] [--self-test] SYSTEM_MAP\n"
	      "       gs_kv_load [--device PATH] --burst N [--unload MODULE]... SYSTEM_MAP\n"
	      "  --seconds N      how long to write and read once all keys are loaded (5)\n"
	      "  --self-test      make the truth wrong for two keys: the readers must say so\n"
	      "  --burst N        overwrite N keys twice from each CPU and leave\n"
	      "  --unload MODULE  unload the module right after the burst; in the order given\n",
	      to);
}

static unsigned int number_arg(const char *name, const char *arg)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(arg, &end, 10);
	if (errno || end == arg || *end || *arg == '-' || !value ||
	    value > 1000000)
		die("%s: not a number from 1 to 1000000: %s", name, arg);
	return (unsigned int)value;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "seconds", required_argument, NULL, 's' },
		{ "self-test", no_argument, NULL, 't' },
		{ "burst", required_argument, NULL, 'b' },
		{ "unload", required_argument, NULL, 'u' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	char *unloads[MAX_UNLOADS];
	unsigned int seconds = 5;
	int nr_unloads = 0;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'd':
			device = optarg;
			break;
		case 's':
			seconds = number_arg("--seconds", optarg);
			break;
		case 't':
			self_test = true;
			break;
		case 'b':
			burst_size = number_arg("--burst", optarg);
			break;
		case 'u':
			if (nr_unloads == MAX_UNLOADS)
				die("--unload: at most %d", MAX_UNLOADS);
			unloads[nr_unloads++] = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc - 1 || (nr_unloads && !burst_size)) {
		usage(stderr);
		return 2;
	}

	find_cpus();
	read_keys(argv[optind]);
	return burst_size ? burst(unloads, nr_unloads) : load(seconds);
}
