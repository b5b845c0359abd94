// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A dead global function that takes a verifier some work and refers to a map of its own. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <stdbool.h>

static volatile const bool use_sum SEC(".rodata.config") = false;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 100000);
} big SEC(".maps");

__noinline int sum(struct __sk_buff *skb)
{
	__u64 total = skb->len, *value;
	__u32 key = 0;

#pragma clang loop unroll(disable)
	for (int i = 0; i < 500; ++i)
		total = total * 31 + (total >> 7);
	value = bpf_map_lookup_elem(&big, &key);
	return (int)(value ? total + *value : total);
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	if (use_sum)
		return sum(skb);
	return skb->len > 100 ? 2 : -1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
