// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A program that no verifier lets pass. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4);
} counters SEC(".maps");

SEC("tc")
int unchecked(struct __sk_buff *skb)
{
	__u32 key = skb->len;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	return (int)*value; /* may be NULL */
}

char _license[] SEC("license") = "Dual BSD/GPL";
