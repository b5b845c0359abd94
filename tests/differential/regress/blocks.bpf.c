/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A constant spilled over many blocks. */
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
CONFIG(__u64, c_wide, 0x100000000ull);
CONFIG(bool, c_on, false);
#define STEP(n) do { if (skb->mark == n) { a += bpf_get_prandom_u32(); hide(a); } else { b ^= a; hide(b); } } while (0)
SEC("tc") int p(struct __sk_buff *skb)
{
	__u64 wide = c_wide, a = skb->len, b = skb->hash, c = skb->tc_index, d = skb->protocol;
	bool on = c_on;

	hide(wide); hide(on); hide(c); hide(d);
	STEP(1); STEP(2); STEP(3); STEP(4); STEP(5); STEP(6); STEP(7); STEP(8); STEP(9); STEP(10);
	STEP(11); STEP(12); STEP(13); STEP(14); STEP(15); STEP(16); STEP(17); STEP(18); STEP(19);
	if (on)
		LEAF(0);
	if (wide < 5)
		LEAF(1);
	return a + b + c + d;
}

char _license[] SEC("license") = "GPL";
