// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A small datapath to load, prune, swap and attach in tests. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#define CONFIG SEC(".rodata.config")

static volatile const bool use_tail CONFIG = true;
static volatile const bool use_big CONFIG = false;
static volatile const __u32 mark CONFIG = 0; /* counter that a generation counts into */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4); /* 0..2: entry program by mark, 3: tail program */
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 100000);
} big SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 2);
} calls SEC(".maps");

static __always_inline void count(__u32 slot)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &slot);

	if (value)
		__sync_fetch_and_add(value, 1);
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	count(mark);
	if (use_big) {
		__u32 key = skb->ifindex;
		__u64 value = skb->len;

		bpf_map_update_elem(&big, &key, &value, BPF_ANY);
	}
	if (use_tail) {
		bpf_tail_call(skb, &calls, 0);
		return 2; /* missed: the packet is dropped, so that a test sees it */
	}
	return -1;
}

SEC("tc")
__attribute__((btf_decl_tag("tail:calls/0")))
int tail_count(struct __sk_buff *skb)
{
	(void)skb;
	count(3);
	return -1;
}

SEC("tc")
__attribute__((btf_decl_tag("tail:calls/1")))
int tail_dead(struct __sk_buff *skb)
{
	__u32 key = skb->len;
	__u64 *value = bpf_map_lookup_elem(&big, &key);

	return value ? 2 : -1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
