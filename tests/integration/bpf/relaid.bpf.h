/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The map of generation.bpf.c with the same sizes and other fields; LAYOUT: the tag of its layout. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct counter {
	__u32 dropped;
	__u32 passed;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct counter);
	__uint(max_entries, 4);
} counters SEC(".maps") LAYOUT;

SEC("tc")
int entry(struct __sk_buff *skb)
{
	__u32 slot = 0;
	struct counter *value = bpf_map_lookup_elem(&counters, &slot);

	(void)skb;
	if (value)
		__sync_fetch_and_add(&value->passed, 1);
	return -1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
