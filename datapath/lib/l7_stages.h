/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The layer 7 stages that from_pod and to_pod share. `calls` is the object's tail-call array; slots and
 * hook are literals at every call.
 *
 *   struct l7_slots	the slots of these stages in that array
 *   l7_pass_on()	the exit of every other stage: to a layer 7 stage, or out
 *   l7_dns() l7_dns_read() l7_http()	the stages
 */
#pragma once

#include "dns.h"
#include "http.h"

struct l7_slots {
	__u32 dns;
	__u32 dns_read;
	__u32 http;
};

/* A stage that is missing costs what it would have told, and an event comes twice; never the packet. */
static __always_inline int l7_pass_on(struct __sk_buff *skb, const struct packet *pkt,
				      const struct verdict *v, const void *calls,
				      const struct l7_slots slots, const __u32 hook,
				      const int families)
{
	if (!l7_is_possible(families))
		return verdict_tc(skb, pkt, v, hook);
	if (enable_dns_visibility && dns_is_wanted(skb, pkt, v, hook)) {
		l7_hand_on(skb, pkt, v, hook);
		bpf_tail_call_static(skb, calls, slots.dns);
	} else if (enable_http_visibility && http_is_wanted(skb, pkt, v, hook)) {
		l7_hand_on(skb, pkt, v, hook);
		bpf_tail_call_static(skb, calls, slots.http);
	}
	return verdict_tc(skb, pkt, v, hook);
}

static __always_inline int l7_dns(struct __sk_buff *skb, const void *calls,
				  const struct l7_slots slots, const __u32 hook)
{
	struct verdict v = {};
	struct packet pkt;

	if (l7_take_over(skb, &pkt, &v)) {
		if (dns_begin(skb, &pkt, hook))
			bpf_tail_call_static(skb, calls, slots.dns_read);
		else if (skb->cb[1])
			bpf_tail_call_static(skb, calls, slots.dns);
	}
	return l7_exit(skb, &pkt, &v, TC_ACT_SHOT, hook);
}

static __always_inline int l7_dns_read(struct __sk_buff *skb, const void *calls,
				       const struct l7_slots slots, const __u32 hook)
{
	struct verdict v = { .reason = skb->cb[0] };
	struct dns_scratch *s = dns_scratch_get();
	int action = TC_ACT_SHOT;
	struct packet pkt;

	if (!s)
		return TC_ACT_UNSPEC;
	if (!dns_message_read(skb, s)) {
		bpf_tail_call_static(skb, calls, slots.dns_read);
		dns_give_up(skb, s);
	}
	pkt = s->pkt;
	action = dns_finish(skb, &pkt, s, &v, hook);
	if (skb->cb[1])
		bpf_tail_call_static(skb, calls, slots.dns);
	return l7_exit(skb, &pkt, &v, action, hook);
}

static __always_inline int l7_http(struct __sk_buff *skb, const __u32 hook)
{
	struct verdict v = {};
	struct packet pkt;

	if (l7_take_over(skb, &pkt, &v))
		http_inspect(skb, &pkt, hook);
	return l7_exit(skb, &pkt, &v, TC_ACT_SHOT, hook);
}
