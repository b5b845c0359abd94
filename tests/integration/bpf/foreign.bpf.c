// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Somebody else's tc program: counts, and hands the packet on. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} foreign_seen SEC(".maps");

SEC("tc")
int foreign(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&foreign_seen, &key);

	(void)skb;
	if (value)
		__sync_fetch_and_add(value, 1);
	return -1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
