/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Valid programs in which a careless analysis cuts what is alive: with the constants as they stand
 * each of these maps can be reached.
 */
#include "uses.bpf.h"

CONFIG(__u64, wide, 0x100000005ull);
CONFIG(__u32, ones, 0xffffffff);
CONFIG(__s32, minus, -1);
CONFIG(__u32, zero, 0);
CONFIG(__u32, five, 5);
CONFIG(bool, off, false);
const volatile __weak __u32 weak_five = 5;
extern const void bpf_bonsai_no_such_symbol __ksym __weak;

#define hide(x) asm volatile("" : "+r"(x))

/* A 32-bit compare sees the low half only. */
CASE(low_half)
{
	if ((__u32)wide == 5)
		USE(low_half);
	return 0;
}

/* A 64-bit compare sign-extends its immediate: 0xffffffff is not -1, sign-extended it is. */
CASE(sign_extended)
{
	__s64 x = minus;

	hide(x);
	if (x == -1)
		USE(sign_extended);
	return 0;
}

CASE(zero_extended)
{
	__u64 x = ones;

	hide(x);
	if (x != -1ull)
		USE(zero_extended);
	return 0;
}

/* Register-register AND: the other side's bits are not known. */
CASE(and_register)
{
	__u32 x = five & skb->mark;

	hide(x);
	if (x == 4)
		USE(and_register);
	return 0;
}

/* AND with 0 is 0, not "no mask". */
CASE(and_zero)
{
	__u32 x = five & zero;

	hide(x);
	if (x == 0)
		USE(and_zero);
	return 0;
}

/* An atomic fetch overwrites its source register. */
MAP(fetched_counter);
CASE(fetched)
{
	__u32 key = 0;
	__u64 *counter = bpf_map_lookup_elem(&m_fetched_counter, &key);
	__u64 x = zero;

	if (!counter)
		return 1;
	x = __sync_fetch_and_add(counter, x);
	if (x)
		USE(fetched);
	return 0;
}

/* A compare-and-exchange overwrites r0. */
MAP(exchanged_counter);
CASE(exchanged)
{
	__u32 key = 0;
	__u64 *counter = bpf_map_lookup_elem(&m_exchanged_counter, &key);

	if (!counter)
		return 1;
	if (__sync_val_compare_and_swap(counter, (__u64)zero, 9))
		USE(exchanged);
	return 0;
}

/* Weak data is data; a weak kernel symbol may be there or not. */
CASE(weak_data)
{
	if (weak_five == 5)
		USE(weak_data);
	return 0;
}

CASE(weak_symbol)
{
	if (&bpf_bonsai_no_such_symbol == NULL)
		USE(weak_symbol);
	return 0;
}

/* Written by a function through a pointer to this frame. */
static __noinline int set_flag(struct __sk_buff *skb, __u32 *flag)
{
	*flag = skb->mark;
	return 0;
}
CASE(through_pointer)
{
	__u32 flag = zero;

	set_flag(skb, &flag);
	if (flag)
		USE(through_pointer);
	return 0;
}

/* ... and by a callback, below the pointer that was passed on. */
struct pair {
	__u32 first, second;
};
static int set_first(__u32 index, void *context)
{
	struct pair *pair = context - sizeof(__u32);

	pair->first = 1;
	return 0;
}
CASE(through_callback)
{
	struct pair pair = {zero, zero};

	bpf_loop(1, set_first, &pair.second, 0);
	if (pair.first)
		USE(through_callback);
	return 0;
}

/* ... and by a helper. */
CASE(through_helper)
{
	__u32 word = zero;

	if (bpf_skb_load_bytes(skb, 0, &word, sizeof(word)))
		return 1;
	if (word)
		USE(through_helper);
	return 0;
}

/* A store at a variable offset may hit any of them. */
CASE(variable_store)
{
	__u64 words[4] = {zero, zero, zero, zero};
	__u32 at = skb->mark & 3;

	hide(at);
	words[at] = 1;
	asm volatile("" : : "r"(words) : "memory");
	if (words[2])
		USE(variable_store);
	return 0;
}

/* A counter that starts at a constant does not stay there. */
CASE(counted)
{
	__u32 count = zero;

	for (__u32 i = 0; i < 16; i++) {
		if (skb->mark == i)
			count++;
		hide(count);
	}
	if (count)
		USE(counted);
	return 0;
}

/* A slot in memory: read from a map that anyone may write. */
MAP(slot_of);
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} calls SEC(".maps");

MAP(tail_three);
SEC("tc") __attribute__((btf_decl_tag("tail:calls/3"))) int tail_three(struct __sk_buff *skb)
{
	USE(tail_three);
	return 0;
}

CASE(unknown_slot)
{
	__u32 key = 0;
	__u64 *slot = bpf_map_lookup_elem(&m_slot_of, &key);

	if (!slot)
		return 1;
	USE(unknown_slot);
	bpf_tail_call(skb, &calls, *slot & 7);
	return 0;
}

/* What a function returns after it tail-called is that program's verdict. */
static __noinline int jump(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &calls, 3);
	return zero;
}
CASE(tail_result)
{
	if (jump(skb))
		USE(tail_result);
	return 0;
}

/* A global function is verified for all arguments. */
__noinline int global_case(struct __sk_buff *skb, __u32 use);
CASE(global_argument)
{
	return global_case(skb, 0);
}
__noinline int global_case(struct __sk_buff *skb, __u32 use)
{
	if (use)
		USE(global_argument);
	return skb ? 1 : 0;
}

char _license[] SEC("license") = "GPL";
