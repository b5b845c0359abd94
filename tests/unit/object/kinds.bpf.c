// SPDX-License-Identifier: Apache-2.0
// One of each thing the reader must find. Expectations are in reader_test.cc.
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define TAG(text) __attribute__((btf_decl_tag(text)))
#define CONFIG __attribute__((section(".rodata.config"), unused))

static const volatile bool enable_x CONFIG TAG("config:setting") TAG("feature:x")
	TAG("doc:Turns x on.") TAG("requires:enable-b") TAG("requires:enable-a") = true;
static const volatile __u32 x_limit CONFIG TAG("config:setting") TAG("feature:x")
	TAG("range:1..9") = 7;
static const volatile __s16 x_bias CONFIG TAG("config:setting") = -3;
static const volatile __u32 hertz CONFIG TAG("config:node") = 250;
const volatile __u64 plain = 5;
const volatile struct { __u32 a, b; } pair = {1, 2};

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} inner_a SEC(".maps"), inner_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { [1] = &inner_b } };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1000);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct { char bytes[24]; });
} table SEC(".maps") TAG("feature:x") TAG("size:x-entries");

int jumped_to(struct __sk_buff *skb);
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} calls SEC(".maps") = { .values = { [2] = (void *)&jumped_to } };

int counter;
static __u64 seed = 9;
extern unsigned int LINUX_KERNEL_VERSION __kconfig;

struct remote { int field; } __attribute__((preserve_access_index));

static __noinline int local(int x)
{
	return x * 3 + (int)bpf_get_prandom_u32();
}

__noinline int shared(int x)
{
	return x * 5 + local(x);
}

__weak __noinline int weak(int x)
{
	return x * 7 + (int)bpf_get_prandom_u32();
}

static int callback(__u32 index, void *context)
{
	*(int *)context += index;
	return 0;
}

SEC("tc") TAG("tail:calls/3") int tagged(struct __sk_buff *skb)
{
	return local(skb->len) + x_limit;
}

SEC("tc") int jumped_to(struct __sk_buff *skb)
{
	return pair.b + skb->len;
}

SEC("?tc/ingress") int entry(struct __sk_buff *skb)
{
	__u64 key = 0;
	__u32 index = 0;
	int sum = 0;

	if (enable_x)
		sum = shared(skb->len);
	if (x_bias == 4)
		bpf_map_lookup_elem(&outer, &index);
	if (LINUX_KERNEL_VERSION > 5)
		bpf_map_lookup_elem(&table, &key);
	if (bpf_core_field_exists(struct remote, field))
		sum += weak(skb->mark);
	counter += hertz;
	seed++;
	bpf_loop(3, callback, &sum, 0);
	bpf_map_lookup_elem(&inner_a, &index);
	bpf_tail_call(skb, &calls, 3);
	return sum + plain;
}

char _license[] SEC("license") = "GPL";
