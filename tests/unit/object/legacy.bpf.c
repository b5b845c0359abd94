// SPDX-License-Identifier: Apache-2.0
// Map definitions as loaders before libbpf 1.0, and iproute2, take them.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct old_map_definition {
	__u32 type, key_size, value_size, max_entries, map_flags;
};
struct longer_map_definition {
	__u32 type, key_size, value_size, max_entries, map_flags, id, pinning;
};

struct old_map_definition SEC("maps") old_one = {
	.type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 17, .map_flags = 1,
};
struct longer_map_definition SEC("maps") old_two = {
	.type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 16, .max_entries = 3, .pinning = 2,
};

SEC("classifier") int legacy(struct __sk_buff *skb)
{
	__u32 key = skb->mark;

	return bpf_map_lookup_elem(&old_one, &key) != 0 || bpf_map_lookup_elem(&old_two, &key) != 0;
}

char _license[] SEC("license") = "GPL";
