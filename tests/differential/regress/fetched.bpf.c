/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Atomics on the stack. */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#define hide(x) asm volatile("" : "+r"(x))
#define CONFIG(type, name, ...) \
	static const volatile type name __attribute__((section(".rodata.config"), unused)) = __VA_ARGS__
#define MAP(number) struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); \
	__type(key, __u32); __type(value, __u64); } m_##number SEC(".maps");
#define LEAF(number) do { __u32 key_ = 0; bpf_map_delete_elem(&m_##number, &key_); } while (0)

MAP(0) MAP(1)
SEC("tc") int p(struct __sk_buff *skb)
{
	__u64 word = 4, old;

	old = __sync_fetch_and_or(&word, 2);
	if (old == 9)
		LEAF(0);
	if (word == 77)
		LEAF(1);
	return 0;
}

char _license[] SEC("license") = "GPL";
