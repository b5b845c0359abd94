// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* tc egress of a pod's host-side device: what enters the pod. */
#include "lib/l7_stages.h"
#include "lib/pod.h"
#include "lib/related.h"

#define TO_POD_POLICY4 0
#define TO_POD_POLICY6 1
#define TO_POD_RECHECK4 2
#define TO_POD_RECHECK6 3
#define TO_POD_CREATE4 4
#define TO_POD_CREATE6 5
#define TO_POD_RELATED4 6
#define TO_POD_RELATED6 7
#define TO_POD_DNS 8
#define TO_POD_HTTP 9
#define TO_POD_DNS_READ 10
#define TO_POD_SLOTS 11

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, TO_POD_SLOTS);
} to_pod_calls SEC(".maps") MAP_FEATURE("conntrack");

#define CALL(skb, slot) bpf_tail_call_static(skb, &to_pod_calls, slot)
#define CALL46(skb, stage, v6)                                                                     \
	do {                                                                                       \
		if (v6)                                                                            \
			CALL(skb, stage##6);                                                       \
		else                                                                               \
			CALL(skb, stage##4);                                                       \
	} while (0)

static const struct l7_slots to_pod_l7 = { TO_POD_DNS, TO_POD_DNS_READ, TO_POD_HTTP };

static __always_inline int to_pod_exit(struct __sk_buff *skb, const struct packet *pkt,
				      const struct verdict *v, const int families)
{
	return l7_pass_on(skb, pkt, v, &to_pod_calls, to_pod_l7, HOOK_TO_POD, families);
}

/* The calls below come back only if the slot is empty. */
static __always_inline void to_pod_new(struct __sk_buff *skb, struct verdict *v, const bool v6)
{
	if (enable_policy)
		CALL46(skb, TO_POD_POLICY, v6);
	else
		CALL46(skb, TO_POD_CREATE, v6);
	v->reason = DROP_TAIL_CALL;
}

static __always_inline void to_pod_next(struct __sk_buff *skb, struct verdict *v,
					enum pod_step step, const bool v6)
{
	switch (step) {
	case POD_DONE:
		return;
	case POD_NEW:
		to_pod_new(skb, v, v6);
		return;
	case POD_STALE:
		if (enable_policy)
			CALL46(skb, TO_POD_RECHECK, v6);
		break;
	case POD_ICMP_ERROR:
		CALL46(skb, TO_POD_RELATED, v6);
		break;
	}
	v->reason = DROP_TAIL_CALL;
}

SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	struct verdict v = {};
	struct packet pkt;

	if (pod_parse(skb, &pkt, &v, PARSE_IP)) {
		if (enable_ipv4 && pkt.family == 4)
			to_pod_next(skb, &v,
				    pod_established(skb, &pkt, &v, POLICY_INGRESS, false), false);
		else if (enable_ipv6 && pkt.family == 6)
			to_pod_next(skb, &v,
				    pod_established(skb, &pkt, &v, POLICY_INGRESS, true), true);
	}
	return to_pod_exit(skb, &pkt, &v, PARSE_IP);
}

static __always_inline int to_pod_policy(struct __sk_buff *skb, const bool v6)
{
	struct verdict v = {};
	struct packet pkt;

	if (pod_parse(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4))
		pod_policy(skb, &pkt, &v, POLICY_INGRESS, v6);
	return to_pod_exit(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4);
}

static __always_inline int to_pod_recheck(struct __sk_buff *skb, const bool v6)
{
	struct verdict v = {};
	struct packet pkt;

	if (pod_parse(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4) &&
	    pod_recheck(skb, &pkt, &v, POLICY_INGRESS, v6) == POD_NEW)
		to_pod_new(skb, &v, v6);
	return to_pod_exit(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4);
}

static __always_inline int to_pod_create(struct __sk_buff *skb, const bool v6)
{
	struct verdict v = {};
	struct packet pkt;

	if (pod_parse(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4))
		pod_create(skb, &pkt, &v, POLICY_INGRESS, v6);
	return to_pod_exit(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4);
}

static __always_inline int to_pod_related(struct __sk_buff *skb, const bool v6)
{
	struct verdict v = {};
	struct packet pkt;

	if (pod_parse(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4) &&
	    !related_find(skb, &pkt, &v, POLICY_INGRESS, v6) && enable_policy)
		to_pod_new(skb, &v, v6);
	return to_pod_exit(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4);
}

#define STAGE(name, stage, slot, v6)                                                               \
	SEC("tc") TAIL(to_pod_calls, slot) int name(struct __sk_buff *skb)                         \
	{                                                                                          \
		return stage(skb, v6);                                                             \
	}

STAGE(tp_policy4, to_pod_policy, TO_POD_POLICY4, false)
STAGE(tp_policy6, to_pod_policy, TO_POD_POLICY6, true)
STAGE(tp_recheck4, to_pod_recheck, TO_POD_RECHECK4, false)
STAGE(tp_recheck6, to_pod_recheck, TO_POD_RECHECK6, true)
STAGE(tp_create4, to_pod_create, TO_POD_CREATE4, false)
STAGE(tp_create6, to_pod_create, TO_POD_CREATE6, true)
STAGE(tp_related4, to_pod_related, TO_POD_RELATED4, false)
STAGE(tp_related6, to_pod_related, TO_POD_RELATED6, true)

SEC("tc") TAIL(to_pod_calls, TO_POD_DNS) int tp_dns(struct __sk_buff *skb)
{
	return l7_dns(skb, &to_pod_calls, to_pod_l7, HOOK_TO_POD);
}

SEC("tc") TAIL(to_pod_calls, TO_POD_DNS_READ) int tp_dns_read(struct __sk_buff *skb)
{
	return l7_dns_read(skb, &to_pod_calls, to_pod_l7, HOOK_TO_POD);
}

SEC("tc") TAIL(to_pod_calls, TO_POD_HTTP) int tp_http(struct __sk_buff *skb)
{
	return l7_http(skb, HOOK_TO_POD);
}

char _license[] SEC("license") = "Dual BSD/GPL";
