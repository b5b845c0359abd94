/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Return codes of a function, told apart later. */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#define hide(x) asm volatile("" : "+r"(x))
#define CONFIG(type, name, ...) \
	static const volatile type name __attribute__((section(".rodata.config"), unused)) = __VA_ARGS__
#define MAP(number) struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); \
	__type(key, __u32); __type(value, __u64); } m_##number SEC(".maps");
#define LEAF(number) do { __u32 key_ = 0; bpf_map_delete_elem(&m_##number, &key_); } while (0)

MAP(0) MAP(1) MAP(2)
CONFIG(__u32, c_mode, 2);
static __noinline int verdict(struct __sk_buff *skb, __u32 mode)
{
	hide(mode);
	switch (mode) {
	case 0: return -1;
	case 1: return skb->len > 100 ? -2 : 7;
	case 2: return skb->mark ? 3 : 5;
	default: return -9;
	}
}
SEC("tc") int p(struct __sk_buff *skb)
{
	int r = verdict(skb, c_mode);

	if (r < 0)
		LEAF(0);
	else if (r == 7)
		LEAF(1);
	else if (r == 5)
		LEAF(2);
	return r;
}

char _license[] SEC("license") = "GPL";
