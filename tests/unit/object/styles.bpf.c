// SPDX-License-Identifier: Apache-2.0
// Programs, constants and maps as other projects write them. Expectations are in styles_test.cc
// and fields_test.cc.
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#define IN(name) __attribute__((section(name)))

enum mode { MODE_OFF, MODE_ON = 3, MODE_LAST = 0x7fffffff };
enum offset { OFFSET_BEHIND = -4, OFFSET_AHEAD = 4 };
union address {
	__u8 bytes[16];
	__u32 words[4];
};
struct endpoint {
	__u16 port;
	union address address;
	struct {
		__s8 low, high;
	} range[3];
};
struct network {
	__u32 id;
	bool strict;
	enum mode mode;
	enum offset offset;
	union {
		__u64 whole;
		struct {
			__u32 first, second;
		};
	};
	__u32 narrow : 3, wide : 14, top : 1;
	int negative : 5;
	__u64 large : 40;
	struct endpoint ends[2];
	const void *pointer;
	__u16 table[2][3];
};

const volatile struct network __config_net = {
	.id = 7, .strict = true, .mode = MODE_ON, .offset = OFFSET_BEHIND, .second = 0x22222222,
	.narrow = 5, .wide = 0x2aaa, .top = 1, .negative = -3, .large = 0x123456789aULL,
	.ends = { [1] = { .port = 8080, .address.words = { 1, 2, 3, 4 },
			  .range = { [2] = { .low = -7, .high = 9 } } } },
	.table = { { 1, 2, 3 }, { 4, 5, 6 } },
};
static const volatile bool __config_enable_x IN(".rodata.config") = true;
static const volatile enum mode __config_mode IN(".rodata.config") = MODE_ON;
const volatile __u32 ports[4] = { 80, 443, 8080, 8443 };
static const volatile __u64 masks[2] IN(".rodata.masks") = { 1, 2 };
static const char banner[] IN(".rodata.str") = "a banner";
const volatile __u32 faint __attribute__((weak)) = 6;

__u64 global_data = 1;
static volatile __u64 static_data = 2;
static volatile __u64 static_more = 3;
__u64 zeroed[8];
__u32 custom_data IN(".data.custom") = 4;

extern int CONFIG_HZ __kconfig;
extern const int typed_symbol __ksym;
extern const void plain_symbol __ksym;
extern void typed_function(void *context) __ksym;
extern const int missing_symbol __ksym __weak;

struct inner {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u64);
	__type(value, __u32);
} held_only SEC(".maps"), also_held SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} holder SEC(".maps") = { .values = { [0] = &held_only, [3] = &also_held } };
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(pinning, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 20);
	__uint(max_entries, 1 << 20);
} sized_map SEC(".maps");

__noinline int strong(int x)
{
	return x * 3 + (int)bpf_get_prandom_u32();
}
// A weak alias; clang 19 fails to compile the attribute where there is debug information.
int faded(int x);
asm(".weak faded\n.type faded, @function\n.set faded, strong");
__weak __noinline int replaceable(int x)
{
	return x * 11 + (int)bpf_get_prandom_u32();
}
__attribute__((visibility("hidden"))) __noinline int hidden(int x)
{
	return x * 13 + (int)bpf_get_prandom_u32();
}

static long first_callback(__u32 index, void *context)
{
	return index > *(__u32 *)context;
}
static long second_callback(__u32 index, void *context)
{
	return index < *(__u32 *)context;
}

SEC("tc") int named_tc(struct __sk_buff *skb)
{
	__u32 key = 0;

	if (__config_enable_x && __config_mode == MODE_ON)
		bpf_map_lookup_elem(&holder, &key);
	return skb->len + __config_net.id;
}
SEC("classifier/x") int named_classifier(struct __sk_buff *skb)
{
	__u32 limit = skb->len;

	bpf_loop(3, first_callback, &limit, 0);
	bpf_loop(4, second_callback, &limit, 0);
	return faded(limit) + replaceable(limit) + hidden(limit) + faint;
}
SEC("tc/tail") int tail_one(struct __sk_buff *skb)
{
	__u32 key = 1;

	global_data += static_data;
	static_more++;
	zeroed[skb->len & 7] = custom_data;
	bpf_map_lookup_elem(&sized_map, &key);
	return ports[skb->len & 3] + masks[skb->mark & 1];
}
SEC("tc/tail") int tail_two(struct __sk_buff *skb)
{
	return strong(skb->mark) + banner[skb->len & 7];
}
SEC("xdp") int named_xdp(struct xdp_md *ctx)
{
	const __u32 copied[4] = { 11, 12, 13, 14 };  // the compiler puts them into .rodata.cst16

	return copied[ctx->data & 3];
}
SEC("?cgroup/connect4") int named_connect(struct bpf_sock_addr *ctx)
{
	return ctx->user_port == CONFIG_HZ;
}
SEC("kprobe/do_unlinkat") int named_kprobe(void *ctx)
{
	typed_function(ctx);
	return bpf_ringbuf_output(&ring, &ctx, sizeof(ctx), 0) + typed_symbol + (long)&plain_symbol +
	       (&missing_symbol != 0);
}
SEC("2/17-custom.name") int named_custom(void *ctx)
{
	return ctx != 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
__u32 _version SEC("version") = 0x50000;
