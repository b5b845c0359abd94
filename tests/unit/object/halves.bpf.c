// SPDX-License-Identifier: Apache-2.0
// Two programs of about one size, one extern for each and one for both; for two_readers_test.cc.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

extern int CONFIG_HZ __kconfig;
extern int CONFIG_NR_CPUS __kconfig;
extern int CONFIG_NET __kconfig;

SEC("tc")
int first(struct __sk_buff *skb)
{
	return skb->len > CONFIG_HZ ? CONFIG_NR_CPUS : 1;
}

SEC("tc")
int second(struct __sk_buff *skb)
{
	return skb->len > CONFIG_NET ? CONFIG_NR_CPUS : 1;
}

char _license[] SEC("license") = "GPL";
