/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature dns-visibility.
 *
 *   dns_is_wanted()	a packet for the DNS stage
 *   dns_inspect()	the stage: parse, count, report, and at from_pod refuse what dns-deny names
 *			and leave in skb->cb[1] where the segment's next message is, for which the stage
 *			is called again, or 0
 *
 * Each message is counted once: as query, denied, response of a code, or malformed. What is neither a
 * standard query nor its response (opcode 0) is not DNS to us. A stream may be joined in mid-message:
 * what does not begin like a message there is taken for the middle of one, and passed over.
 */
#pragma once

#include "dns_deny.h"
#include "l7.h"

static __always_inline bool dns_is_wanted(const struct packet *pkt, const struct verdict *v,
					  const __u32 hook)
{
	__u32 zero = 0;

	return l7_is_candidate(pkt, v) && l7_is_on(bpf_map_lookup_elem(&dns_ports, &zero), pkt, v, hook);
}

static __always_inline void dns_count(__u32 slot)
{
	__u64 *value = bpf_map_lookup_elem(&dns_metrics, &slot);

	if (value)
		(*value)++;
}

/* Finds the message in the packet: off, len, partial. False: there is none, or not even a header. */
static __always_inline bool dns_place_udp(struct __sk_buff *skb, const struct packet *pkt,
					  struct dns_walk *walk)
{
	__u32 room = l7_payload(pkt, (__u32 *)&walk->off), size;
	__be16 len; /* what the UDP header says is what a server reads */

	if (bpf_skb_load_bytes(skb, pkt->l4_off + offsetof(struct udphdr, len), &len, sizeof(len)))
		return false;
	size = bpf_ntohs(len) - sizeof(struct udphdr);
	walk->len = size;
	return size >= sizeof(struct dns_header) && size <= room;
}

/* TCP: two bytes of length come first. */
static __always_inline bool dns_place_tcp(struct __sk_buff *skb, const struct packet *pkt,
					  struct dns_walk *walk)
{
	__u32 off, room = l7_payload(pkt, &off), done = skb->cb[1], size;
	__be16 len;

	skb->cb[1] = 0;
	if (done + sizeof(len) + sizeof(struct dns_header) > room)
		return false;
	if (bpf_skb_load_bytes(skb, off + done, &len, sizeof(len)))
		return false;
	done += sizeof(len);
	room -= done;
	size = bpf_ntohs(len);
	if (size < room)
		skb->cb[1] = done + size;
	walk->off = off + done;
	walk->len = size < room ? size : room;
	walk->partial = room < size;
	return size >= sizeof(struct dns_header);
}

/* Whether a piece of a stream looks like the beginning of a message. */
static __always_inline bool dns_begins(const struct dns_header *header)
{
	return !(header->flags[1] & DNS_FLAG_ZERO) && bpf_ntohs(header->questions) <= 1;
}

static __always_inline enum dns_kind dns_read(struct __sk_buff *skb, const struct packet *pkt,
					      struct dns_scratch *s)
{
	const bool udp = pkt->protocol == IPPROTO_UDP;

	if (!(udp ? dns_place_udp(skb, pkt, &s->walk) : dns_place_tcp(skb, pkt, &s->walk)))
		return udp ? DNS_BAD : DNS_NOTHING;
	if (bpf_skb_load_bytes(skb, s->walk.off, &s->header, sizeof(s->header)))
		return DNS_NOTHING;
	if (!udp && !dns_begins(&s->header))
		return DNS_NOTHING;
	return dns_message_read(skb, s);
}

static __always_inline void dns_tell(struct __sk_buff *skb, const struct packet *pkt,
				     struct dns_scratch *s, __u8 kind, __u32 slot, const __u32 hook)
{
	dns_count(slot);
	l7_head_init(&s->event.head, pkt, skb->ifindex, kind, hook);
	if (bpf_ringbuf_output(&dns_events, &s->event, sizeof(s->event), 0))
		dns_count(DNS_LOST);
}

static __always_inline bool dns_is_for_server(const struct packet *pkt)
{
	__u32 zero = 0;
	const struct l7_ports *ports = bpf_map_lookup_elem(&dns_ports, &zero);

	return ports && l7_has_port(ports, pkt->dport);
}

/* A query that is malformed, but that a server might make sense of, is denied like any other. */
static __always_inline const struct dns_deny_value *dns_denied(const struct packet *pkt,
							      struct dns_scratch *s)
{
	if (s->header.flags[0] & DNS_FLAG_RESPONSE || !dns_is_for_server(pkt))
		return NULL;
	return dns_deny_match(s);
}

static __always_inline int dns_refuse(struct __sk_buff *skb, const struct packet *pkt,
				      struct verdict *v, struct dns_scratch *s,
				      const struct dns_deny_value *denied)
{
	skb->cb[1] = 0;
	v->reason = DROP_DNS_DENIED;
	v->rule = denied->rule;
	dns_tell(skb, pkt, s, L7_DENIED, DNS_DENIED, HOOK_FROM_POD);
	return dns_deny_answer(skb, pkt, s);
}

static __always_inline int dns_inspect(struct __sk_buff *skb, struct packet *pkt,
				       struct verdict *v, const __u32 hook)
{
	const struct dns_deny_value *denied = NULL;
	struct dns_scratch *s;
	enum dns_kind kind;
	__u32 zero = 0;

	s = bpf_map_lookup_elem(&dns_scratch, &zero);
	if (!s)
		return TC_ACT_SHOT;
	__builtin_memset(&s->event, 0, sizeof(s->event));
	__builtin_memset((void *)&s->walk, 0, sizeof(s->walk));
	/* Out of the verifier's sight and back: it would walk the loops once for each kind of packet. */
	s->pkt = *pkt;
	kind = dns_read(skb, &s->pkt, s);
	*pkt = s->pkt;
	if (hook == HOOK_FROM_POD && s->walk.whole)
		denied = dns_denied(pkt, s);
	if (denied)
		return dns_refuse(skb, pkt, v, s, denied);
	if (kind == DNS_QUERY)
		dns_tell(skb, pkt, s, L7_REQUEST, DNS_QUERIES, hook);
	else if (kind == DNS_RESPONSE)
		dns_tell(skb, pkt, s, L7_RESPONSE, DNS_RCODE_FIRST + s->event.rcode, hook);
	else if (kind == DNS_BAD)
		dns_tell(skb, pkt, s, L7_MALFORMED, DNS_MALFORMED, hook);
	else
		skb->cb[1] = 0; /* where nothing begins, nothing can follow */
	return TC_ACT_SHOT;
}
