// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Global functions that only a constant keeps from being called: kernels before 6.8 verify them all
 * the same, one of them refers to what is pruned then, one no verifier accepts. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#define CONFIG SEC(".rodata.config")

static volatile const bool use_extra CONFIG = false;
static volatile const bool use_broken CONFIG = false;
static volatile const bool call_extra CONFIG = true; /* decides nothing: the call is dead anyway */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4); /* 0: entry, 1: extra, 2: always */
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 100000);
} big SEC(".maps");

static __always_inline void count(__u32 slot)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &slot);

	if (value)
		__sync_fetch_and_add(value, 1);
}

/* Refers to a map that is there only with use_extra. */
__noinline int extra(struct __sk_buff *skb)
{
	__u32 key = skb->ifindex;
	__u64 value = skb->len;

	count(1);
	return bpf_map_update_elem(&big, &key, &value, BPF_ANY);
}

/* Follows a number as if it were a pointer. */
__noinline int broken(struct __sk_buff *skb)
{
	volatile int *nowhere = (int *)(long)skb->len;

	return *nowhere;
}

/* Alive: it must stay, with its call. */
__noinline int always(struct __sk_buff *skb)
{
	count(2);
	return skb->len != 0;
}

/* The call of a global function in a static one, alive itself but for that call. */
static __noinline int between(struct __sk_buff *skb)
{
	int result = skb->mark;

	if (use_extra && call_extra)
		result += extra(skb);
	if (use_broken)
		result += broken(skb);
	return result;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	int result = between(skb);

	count(0);
	if (use_extra)
		result += extra(skb);
	if (always(skb))
		result += 1;
	return result;
}

char _license[] SEC("license") = "Dual BSD/GPL";
