/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature dns-visibility.
 *
 *   dns_is_wanted()	a packet for the DNS stages
 *   dns_begin()	first stage: find the message at skb->cb[1]; true: there is one to read. cb[1] is
 *			then where the packet's next message is, for the first stage again, or 0
 *   dns_message_read()	second stage, a round of reading; false: it has to be called again
 *   dns_give_up()	instead, if it cannot be
 *   dns_finish()	count, report, and at from_pod refuse what dns-deny names; returns the tc action
 *			should the verdict be to drop
 *
 * The stages share a struct dns_scratch, in which the packet is too.
 *
 * Each message is counted once: as query, denied, response of a code, or malformed. What is neither a
 * standard query nor its response (opcode 0) is not DNS to us. A stream may be joined in mid-message:
 * what does not begin like a message there is taken for the middle of one, and passed over.
 */
#pragma once

#include "dns_deny.h"
#include "l7.h"

/* The direction is handed on in cb[2], as for HTTP. */
static __always_inline bool dns_is_wanted(struct __sk_buff *skb, const struct packet *pkt,
					  const struct verdict *v, const __u32 hook)
{
	__u32 zero = 0, sides;

	if (!l7_is_candidate(pkt, v))
		return false;
	sides = l7_sides(bpf_map_lookup_elem(&dns_ports, &zero), pkt, v, hook);
	if (!sides)
		return false;
	skb->cb[2] = sides;
	return true;
}

static __always_inline void dns_count(__u32 slot)
{
	__u64 *value = bpf_map_lookup_elem(&dns_metrics, &slot);

	if (value)
		(*value)++;
}

/* Finds the message in the packet: off, len, partial. False: there is none, or not even a header. What
 * the UDP header says is what a server reads. A pod may hand over several datagrams in one packet
 * (UDP_SEGMENT), all but the last of the same size. */
static __always_inline bool dns_place_udp(struct __sk_buff *skb, const struct packet *pkt,
					  struct dns_walk *walk)
{
	__u32 off, room = l7_payload(pkt, &off), done = skb->cb[1], each = skb->gso_size, size;
	__be16 len;

	skb->cb[1] = 0;
	if (bpf_skb_load_bytes(skb, pkt->l4_off + offsetof(struct udphdr, len), &len, sizeof(len)))
		return false;
	size = bpf_ntohs(len) - sizeof(struct udphdr);
	if (size > room || done >= size)
		return false;
	size -= done;
	if (each && each < size) {
		skb->cb[1] = done + each;
		size = each;
	}
	walk->off = off + done;
	walk->len = size;
	return size >= sizeof(struct dns_header);
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
	if (size < room && size >= sizeof(struct dns_header))
		skb->cb[1] = done + size;
	walk->off = off + done;
	walk->len = size < room ? size : room;
	walk->partial = room < size;
	return size >= sizeof(struct dns_header);
}

/* Whether a piece of a stream looks like the beginning of a message. Of queries little is asked, so that
 * none gets round dns-deny: there are servers that read those with several questions, or with odd flags.
 * What comes from a server is the middle of an answer more often than the beginning of an odd one. */
static __always_inline bool dns_begins(const struct dns_header *header, __u32 sides)
{
	const __u32 questions = bpf_ntohs(header->questions);

	if (header->flags[0] & DNS_FLAG_RESPONSE)
		return sides & L7_FROM_SERVER && questions <= 1 &&
		       !(header->flags[1] & DNS_FLAG_ZERO);
	return sides & L7_TO_SERVER && questions - 1 < 255;
}

static __always_inline void dns_tell(struct __sk_buff *skb, const struct packet *pkt,
				     struct dns_scratch *s, __u8 kind, __u32 slot, const __u32 hook)
{
	dns_count(slot);
	l7_head_init(&s->event.head, pkt, skb->ifindex, kind, hook);
	if (bpf_ringbuf_output(&dns_events, &s->event, sizeof(s->event), 0))
		dns_count(DNS_LOST);
}

/* A query that is malformed, but that a server might make sense of, is denied like any other. */
static __always_inline const struct dns_deny_value *dns_denied(const struct __sk_buff *skb,
							      struct dns_scratch *s)
{
	if (s->header.flags[0] & DNS_FLAG_RESPONSE || !(skb->cb[2] & L7_TO_SERVER))
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

static __always_inline struct dns_scratch *dns_scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&dns_scratch, &zero);
}

static __always_inline bool dns_begin(struct __sk_buff *skb, const struct packet *pkt,
				      const __u32 hook)
{
	const bool udp = pkt->protocol == IPPROTO_UDP;
	struct dns_scratch *s = dns_scratch_get();

	if (!s)
		return false;
	__builtin_memset(&s->event, 0, sizeof(s->event));
	__builtin_memset((void *)&s->walk, 0, sizeof(s->walk));
	s->pkt = *pkt;
	if (!(udp ? dns_place_udp(skb, pkt, &s->walk) : dns_place_tcp(skb, pkt, &s->walk))) {
		if (udp)
			dns_tell(skb, pkt, s, L7_MALFORMED, DNS_MALFORMED, hook);
		return false;
	}
	if (bpf_skb_load_bytes(skb, s->walk.off, &s->header, sizeof(s->header)))
		return false;
	if ((udp || dns_begins(&s->header, skb->cb[2])) && dns_message_begin(s))
		return true;
	if (!udp)
		skb->cb[1] = 0; /* where nothing begins, nothing follows */
	return false;
}

/* No more tail calls to be had: a segment full of messages, and long names in them. */
static __always_inline void dns_give_up(struct __sk_buff *skb, struct dns_scratch *s)
{
	skb->cb[1] = 0;
	s->event.flags |= s->walk.whole ? DNS_ANSWERS_CUT : DNS_NAME_CUT | DNS_ANSWERS_CUT;
}

static __always_inline int dns_finish(struct __sk_buff *skb, const struct packet *pkt,
				      struct dns_scratch *s, struct verdict *v, const __u32 hook)
{
	const struct dns_deny_value *denied = NULL;

	if (hook == HOOK_FROM_POD && s->walk.whole)
		denied = dns_denied(skb, s);
	if (denied)
		return dns_refuse(skb, pkt, v, s, denied);
	if (s->walk.kind == DNS_QUERY)
		dns_tell(skb, pkt, s, L7_REQUEST, DNS_QUERIES, hook);
	else if (s->walk.kind == DNS_RESPONSE)
		dns_tell(skb, pkt, s, L7_RESPONSE, DNS_RCODE_FIRST + s->event.rcode, hook);
	else
		dns_tell(skb, pkt, s, L7_MALFORMED, DNS_MALFORMED, hook);
	return TC_ACT_SHOT;
}
