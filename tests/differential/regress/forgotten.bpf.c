/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the verifier forgets although it is true: bits of products and of sign extensions. */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#define CONFIG(type, name, ...) \
	static const volatile type name __attribute__((section(".rodata.config"), unused)) = __VA_ARGS__
#define MAP(number) struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); \
	__type(key, __u32); __type(value, __u64); } m_##number SEC(".maps");
#define LEAF(number) do { __u32 key_ = 0; bpf_map_delete_elem(&m_##number, &key_); } while (0)

MAP(0) MAP(1) MAP(2)
CONFIG(__u32, c_high, 0xff00);
CONFIG(__u32, c_two, 2);

SEC("tc") int p(struct __sk_buff *skb)
{
	unsigned int product = (skb->mark | c_high) * 31;
	short narrow = skb->hash | c_two;
	long wide = narrow;

	if (product < 2)
		LEAF(0);
	if (wide < 5 && !(wide & c_two))
		LEAF(1);
	if (!c_two)
		LEAF(2);
	return 0;
}
char _license[] SEC("license") = "GPL";
