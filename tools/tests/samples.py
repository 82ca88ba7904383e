# SPDX-License-Identifier: GPL-2.0
"""Kernel reports as they look in a log, one for each kind that must be found."""

SPLATS = {
    'warn': '''
[    1.230000] ------------[ cut here ]------------
[    1.230000] WARNING: rust/cache.c:4 at gs_cache_free+0x63/0x100 [graceslab], CPU#1: insmod/47
[    1.230000] graceslab: double free of object 3
[    1.230000] Call Trace:
[    1.230000]  [<6004f580>] ? dump_trace+0x0/0xe0
[    1.230000] ---[ end trace 0000000000000000 ]---
''',
    'warn_old': '''
[    1.2] ------------[ cut here ]------------
[    1.2] WARNING: CPU: 0 PID: 47 at mm/slub.c:100 kfree+0x1/0x2
[    1.2] ---[ end trace 0000000000000000 ]---
''',
    'bug_on': '''
[    1.2] ------------[ cut here ]------------
[    1.2] kernel BUG at mm/slub.c:563!
[    1.2] Oops: invalid opcode: 0000 [#1] SMP
''',
    'null': '''
[    1.2] BUG: kernel NULL pointer dereference, address: 0000000000000008
[    1.2] #PF: supervisor write access in kernel mode
''',
    'oops': '[    1.2] Oops: 0002 [#1] PREEMPT SMP KASAN PTI\n',
    'oops_plain': '[    1.2] Internal error: Oops: 0000000096000044 [#1] SMP\n',
    'fault': '[    1.2] Unable to handle kernel paging request at virtual address dead000000000122\n',
    'gpf': '[    1.2] general protection fault, probably for non-canonical address\n',
    'panic': '[    1.2] Kernel panic - not syncing: Kernel mode fault at addr 0x8\n',
    'rust': '[    1.2] rust_kernel: panicked at rust/cache/slab.rs:10:5:\n',
    'hung': '[  243.5] INFO: task rmmod:77 blocked for more than 120 seconds.\n',
    'stall': '[   21.0] rcu: INFO: rcu_preempt self-detected stall on CPU\n',
    'stall_other': '[   21.0] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:\n',
    'stall_expedited': '[   21.0] rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-... }\n',
    'starved': '[   21.0] rcu: rcu_preempt kthread starved for 2100 jiffies!\n',
    'key': '[    1.2] INFO: trying to register non-static key.\n',
    'recursion_old': '[    1.2] INFO: possible recursive locking detected\n',
    'slub': '[    1.2] BUG kmalloc-64 (Tainted: G    B      O    ): Poison overwritten\n',
    'kasan': '[    1.2] BUG: KASAN: slab-use-after-free in gs_reader+0x40/0x90\n',
    'kcsan': '[    1.2] BUG: KCSAN: data-race in gs_seal / gs_push\n',
    'kfence': '[    1.2] BUG: KFENCE: use-after-free read in reader+0x1/0x2\n',
    'ubsan': '[    1.2] UBSAN: array-index-out-of-bounds in lib/x.c:3:1\n',
    'odebug': '[    1.2] ODEBUG: free active (active state 0) object type: rcu_head\n',
    'kmemleak': '[   70.1] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)\n',
    'atomic': '[    1.2] BUG: scheduling while atomic: kworker/0:1/12/0x00000002\n',
    'sleep': '[    1.2] BUG: sleeping function called from invalid context at mm/slab.c:10\n',
    'unbalanced': '[    1.2] WARNING: bad unlock balance detected!\n',
    'recursive': '[    1.2] WARNING: possible recursive locking detected\n',
    'circular': '[    1.2] WARNING: possible circular locking dependency detected\n',
    'inversion': '[    1.2] WARNING: possible irq lock inversion dependency detected\n',
    'inconsistent': '[    1.2] WARNING: inconsistent lock state\n',
    'rcu': '[    1.2] WARNING: suspicious RCU usage\n',
    'locks': '[    1.2] DEBUG_LOCKS_WARN_ON(lock->owner != get_current())\n',
    'list_add': '[    1.2] list_add corruption. prev->next should be next (x), but was y.\n',
    'list_del': '[    1.2] list_del corruption, x->next is LIST_POISON1\n',
    'refcount': '[    1.2] refcount_t: underflow; use-after-free.\n',
    'soft_lockup': '[   26.0] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [kunit:33]\n',
    'page': '[    1.2] BUG: Bad page state in process rmmod  pfn:12345\n',
    'irq': '[    1.2] irq 9: nobody cared (try booting with the "irqpoll" option)\n',
    'uml_segv': '[    1.2] Segfault with no mm\n',
    'trace_alone': '[    1.2] insmod: page allocation failure: order:0\n[    1.2] Call Trace:\n',
    'end_alone': '[    1.2] ---[ end trace 0000000000000000 ]---\n',
    'lockdep_off': '[    1.2] INFO: lockdep is turned off.\n',
    'no_timestamp': 'BUG: kernel NULL pointer dereference, address: 0\n',
    'with_caller': '[    1.230000][  T47] BUG: unable to handle page fault\n',
}

CLEAN = '''
[    0.000000] Linux version 7.2.12 (user@host) #1 SMP
[    0.080000] epollctl add err fd 1, Operation not permitted
[    0.090000] KTAP version 1
[    0.090000] 1..1
[    0.090000]     KTAP version 1
[    0.090000]     # Subtest: gs_debug
[    0.090000]     # warning_is_counted: 3 warnings, no bug
[    0.090000]     ok 1 bug_is_found
[    0.090000] ok 1 gs_debug
[    0.210000] hello: loading out-of-tree module taints kernel.
[    0.300000] kmemleak: Kernel memory leak detector initialized
[    0.300000] rcu: Hierarchical RCU implementation.
[    0.540000] reboot: Power down
'''
