/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A global function may be replaced: what it gets a pointer to counts as written, though it only reads. */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#define CONFIG(type, name, ...) \
	static const volatile type name __attribute__((section(".rodata.config"), unused)) = __VA_ARGS__
#define MAP(number) struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); \
	__type(key, __u32); __type(value, __u64); } m_##number SEC(".maps");
#define LEAF(number) do { __u32 key_ = 0; bpf_map_delete_elem(&m_##number, &key_); } while (0)

MAP(0)
CONFIG(bool, c_on, false);
struct pair { __u32 a, on; };
__noinline int reads(struct pair *p)
{
	return p ? p->a + bpf_get_prandom_u32() : 0;
}
SEC("tc") int p(struct __sk_buff *skb)
{
	struct pair pair = { .a = skb->len, .on = c_on };
	int r = reads(&pair);

	if (*(volatile __u32 *)&pair.on)
		LEAF(0);
	return r & 1;
}

char _license[] SEC("license") = "GPL";
