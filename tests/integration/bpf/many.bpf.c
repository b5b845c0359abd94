// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* More live maps than come back one by one. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define MAP(name)                            \
	struct {                                 \
		__uint(type, BPF_MAP_TYPE_ARRAY);    \
		__type(key, __u32);                  \
		__type(value, __u64);                \
		__uint(max_entries, 1);              \
	} name SEC(".maps")

MAP(m0);
MAP(m1);
MAP(m2);
MAP(m3);
MAP(m4);
MAP(m5);
MAP(m6);
MAP(m7);
MAP(m8);
MAP(m9);
MAP(m10);
MAP(m11);

static __always_inline __u64 get(void *map)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(map, &key);

	return value ? *value : 0;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	(void)skb;
	return (int)(get(&m0) + get(&m1) + get(&m2) + get(&m3) + get(&m4) + get(&m5) + get(&m6) +
		     get(&m7) + get(&m8) + get(&m9) + get(&m10) + get(&m11));
}

char _license[] SEC("license") = "Dual BSD/GPL";
