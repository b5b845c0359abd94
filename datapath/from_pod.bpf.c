// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* tc ingress of a pod's host-side device: what leaves the pod. */
#include "lib/l7_stages.h"
#include "lib/pod.h"
#include "lib/related.h"

#define FROM_POD_LB4 0
#define FROM_POD_LB6 1
#define FROM_POD_POLICY4 2
#define FROM_POD_POLICY6 3
#define FROM_POD_RECHECK4 4
#define FROM_POD_RECHECK6 5
#define FROM_POD_CREATE4 6
#define FROM_POD_CREATE6 7
#define FROM_POD_RELATED4 8
#define FROM_POD_RELATED6 9
#define FROM_POD_DNS 10
#define FROM_POD_HTTP 11
#define FROM_POD_DNS_READ 12
#define FROM_POD_SLOTS 13

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, FROM_POD_SLOTS);
} from_pod_calls SEC(".maps") MAP_FEATURE("conntrack");

#define CALL(skb, slot) bpf_tail_call_static(skb, &from_pod_calls, slot)
#define CALL46(skb, stage, v6)                                                                     \
	do {                                                                                       \
		if (v6)                                                                            \
			CALL(skb, stage##6);                                                       \
		else                                                                               \
			CALL(skb, stage##4);                                                       \
	} while (0)

static const struct l7_slots from_pod_l7 = { FROM_POD_DNS, FROM_POD_DNS_READ, FROM_POD_HTTP };

static __always_inline int from_pod_exit(struct __sk_buff *skb, const struct packet *pkt,
				      const struct verdict *v, const int families)
{
	return l7_pass_on(skb, pkt, v, &from_pod_calls, from_pod_l7, HOOK_FROM_POD, families);
}

/* The calls below come back only if the slot is empty. */
static __always_inline void from_pod_decide(struct __sk_buff *skb, struct verdict *v, const bool v6)
{
	if (enable_policy)
		CALL46(skb, FROM_POD_POLICY, v6);
	else
		CALL46(skb, FROM_POD_CREATE, v6);
	v->reason = DROP_TAIL_CALL;
}

static __always_inline void from_pod_new(struct __sk_buff *skb, const struct packet *pkt,
					 struct verdict *v, const bool v6)
{
	if (enable_load_balancer) {
		lb_choice_none(skb);
		if (lb_wants(pkt)) {
			CALL46(skb, FROM_POD_LB, v6);
			v->reason = DROP_TAIL_CALL;
			return;
		}
	}
	from_pod_decide(skb, v, v6);
}

static __always_inline void from_pod_next(struct __sk_buff *skb, const struct packet *pkt,
					  struct verdict *v, enum pod_step step, const bool v6)
{
	switch (step) {
	case POD_DONE:
		return;
	case POD_NEW:
		from_pod_new(skb, pkt, v, v6);
		return;
	case POD_STALE:
		if (enable_policy)
			CALL46(skb, FROM_POD_RECHECK, v6);
		break;
	case POD_ICMP_ERROR:
		CALL46(skb, FROM_POD_RELATED, v6);
		break;
	}
	v->reason = DROP_TAIL_CALL;
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	struct verdict v = {};
	struct packet pkt;

	if (pod_parse(skb, &pkt, &v, PARSE_IP)) {
		if (enable_ipv4 && pkt.family == 4)
			from_pod_next(skb, &pkt, &v,
				      pod_established(skb, &pkt, &v, POLICY_EGRESS, false), false);
		else if (enable_ipv6 && pkt.family == 6)
			from_pod_next(skb, &pkt, &v,
				      pod_established(skb, &pkt, &v, POLICY_EGRESS, true), true);
	}
	return from_pod_exit(skb, &pkt, &v, PARSE_IP);
}

static __always_inline int from_pod_lb(struct __sk_buff *skb, const bool v6)
{
	struct verdict v = {};
	struct packet pkt;

	if (pod_parse(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4)) {
		enum lb_result result = lb_select(&pkt, &v, v6);

		if (result == LB_CHOSEN)
			lb_choice_put(skb, &v);
		if (result != LB_REFUSED)
			from_pod_decide(skb, &v, v6);
	}
	/* No packet that passes comes back to here. */
	return verdict_tc(skb, &pkt, &v, HOOK_FROM_POD);
}

static __always_inline int from_pod_policy(struct __sk_buff *skb, const bool v6)
{
	struct verdict v = {};
	struct packet pkt;

	if (pod_parse(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4))
		pod_policy(skb, &pkt, &v, POLICY_EGRESS, v6);
	return from_pod_exit(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4);
}

static __always_inline int from_pod_recheck(struct __sk_buff *skb, const bool v6)
{
	struct verdict v = {};
	struct packet pkt;

	if (pod_parse(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4) &&
	    pod_recheck(skb, &pkt, &v, POLICY_EGRESS, v6) == POD_NEW)
		from_pod_new(skb, &pkt, &v, v6);
	return from_pod_exit(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4);
}

static __always_inline int from_pod_create(struct __sk_buff *skb, const bool v6)
{
	struct verdict v = {};
	struct packet pkt;

	if (pod_parse(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4))
		pod_create(skb, &pkt, &v, POLICY_EGRESS, v6);
	return from_pod_exit(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4);
}

static __always_inline int from_pod_related(struct __sk_buff *skb, const bool v6)
{
	struct verdict v = {};
	struct packet pkt;

	if (pod_parse(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4) && !related_find(skb, &pkt, &v, POLICY_EGRESS, v6) &&
	    enable_policy)
		from_pod_new(skb, &pkt, &v, v6);
	return from_pod_exit(skb, &pkt, &v, v6 ? PARSE_IPV6 : PARSE_IPV4);
}

#define STAGE(name, stage, slot, v6)                                                               \
	SEC("tc") TAIL(from_pod_calls, slot) int name(struct __sk_buff *skb)                       \
	{                                                                                          \
		return stage(skb, v6);                                                             \
	}

STAGE(fp_lb4, from_pod_lb, FROM_POD_LB4, false)
STAGE(fp_lb6, from_pod_lb, FROM_POD_LB6, true)
STAGE(fp_policy4, from_pod_policy, FROM_POD_POLICY4, false)
STAGE(fp_policy6, from_pod_policy, FROM_POD_POLICY6, true)
STAGE(fp_recheck4, from_pod_recheck, FROM_POD_RECHECK4, false)
STAGE(fp_recheck6, from_pod_recheck, FROM_POD_RECHECK6, true)
STAGE(fp_create4, from_pod_create, FROM_POD_CREATE4, false)
STAGE(fp_create6, from_pod_create, FROM_POD_CREATE6, true)
STAGE(fp_related4, from_pod_related, FROM_POD_RELATED4, false)
STAGE(fp_related6, from_pod_related, FROM_POD_RELATED6, true)

SEC("tc") TAIL(from_pod_calls, FROM_POD_DNS) int fp_dns(struct __sk_buff *skb)
{
	return l7_dns(skb, &from_pod_calls, from_pod_l7, HOOK_FROM_POD);
}

SEC("tc") TAIL(from_pod_calls, FROM_POD_DNS_READ) int fp_dns_read(struct __sk_buff *skb)
{
	return l7_dns_read(skb, &from_pod_calls, from_pod_l7, HOOK_FROM_POD);
}

SEC("tc") TAIL(from_pod_calls, FROM_POD_HTTP) int fp_http(struct __sk_buff *skb)
{
	return l7_http(skb, HOOK_FROM_POD);
}

char _license[] SEC("license") = "Dual BSD/GPL";
