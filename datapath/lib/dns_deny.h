/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The deny list of feature dns-visibility, asked for queries that leave a pod.
 *
 *   dns_deny_match()	entry that names the query just read, or NULL
 *   dns_deny_answer()	turn the query into its answer and send it back; returns the tc action
 *
 * UDP is answered with REFUSED, TCP with a reset: a message put into a stream would leave the two ends
 * with different ideas of what was sent. The answer leaves by the device that the query came by, so it
 * passes to_pod like any other: conntrack and load balancer see it, and translate it back.
 */
#pragma once

#include "../include/config.h"
#include "dns_message.h"
#include "packet.h"

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stddef.h>

#define DNS_REFUSED 5

/* Eight bytes at a time; bytes above 127 and the lengths of labels are no letters. */
static __always_inline void dns_deny_lower(__u64 *bytes)
{
	const __u64 ones = 0x0101010101010101, tops = ones << 7;
	__u64 low = *bytes & ~tops;
	__u64 from_a = low + ones * (0x80 - 'A'), past_z = low + ones * (0x7f - 'Z');

	*bytes |= (~*bytes & tops & (from_a ^ past_z)) >> 2;
}

/* Only with a question that was read to its end (walk.whole). The key begins where the name's length
 * puts it; tries are asked with keys at any address. */
static __always_inline const struct dns_deny_value *dns_deny_match(struct dns_scratch *s)
{
	const struct dns_deny_value *value;
	__u32 out = s->walk.out;
	__u32 prefixlen = out * 8; /* without the root's 0, with the one that ends a key */
	__u8 *key = s->reversed + ((256 - out) & 255);

	for (int i = 0; i <= DNS_REVERSED_END / 8; i++)
		dns_deny_lower((__u64 *)s->reversed + i);
	s->reversed[DNS_REVERSED_END] = 0;
	__builtin_memcpy(key, &prefixlen, sizeof(prefixlen));
	value = bpf_map_lookup_elem(&dns_deny, key);
	return value && value->action == DNS_DENY ? value : NULL;
}

/* Addresses of an answer to `pkt`, and what L4 checksums cover of the IP header. */
struct dns_ends {
	union addr saddr;
	union addr daddr;
	__be32 len;
	__be32 protocol;
};

static __always_inline long dns_deny_ip4(struct __sk_buff *skb, const struct packet *pkt, __u32 size)
{
	__be32 ends[2] = { pkt->daddr.v4, pkt->saddr.v4 };
	__be16 total = bpf_htons(pkt->l4_off - pkt->l3_off + size), was;
	__u32 off = pkt->l3_off;
	long ret;

	ret = bpf_skb_load_bytes(skb, off + offsetof(struct iphdr, tot_len), &was, sizeof(was));
	if (ret)
		return ret;
	ret = bpf_l3_csum_replace(skb, off + offsetof(struct iphdr, check), was, total,
				  sizeof(total));
	if (ret)
		return ret;
	ret = bpf_skb_store_bytes(skb, off + offsetof(struct iphdr, tot_len), &total,
				  sizeof(total), 0);
	if (ret)
		return ret;
	return bpf_skb_store_bytes(skb, off + offsetof(struct iphdr, saddr), ends, sizeof(ends),
				   BPF_F_INVALIDATE_HASH);
}

static __always_inline long dns_deny_ip6(struct __sk_buff *skb, const struct packet *pkt, __u32 size)
{
	union addr ends[2] = { pkt->daddr, pkt->saddr };
	__u32 off = pkt->l3_off;
	__be16 payload = bpf_htons(pkt->l4_off - off - sizeof(struct ipv6hdr) + size);
	long ret;

	ret = bpf_skb_store_bytes(skb, off + offsetof(struct ipv6hdr, payload_len), &payload,
				  sizeof(payload), 0);
	if (ret)
		return ret;
	return bpf_skb_store_bytes(skb, off + offsetof(struct ipv6hdr, saddr), ends, sizeof(ends),
				   BPF_F_INVALIDATE_HASH);
}

static __always_inline long dns_deny_ethernet(struct __sk_buff *skb)
{
	__u8 macs[2][6];
	long ret = bpf_skb_load_bytes(skb, 6, macs[0], 6);

	if (!ret)
		ret = bpf_skb_load_bytes(skb, 0, macs[1], 6);
	return ret ? ret : bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0);
}

/* A checksum from nothing that is right whether the packet carries it whole or leaves the sum to a
 * device (CHECKSUM_PARTIAL): 0xffff stands for a sum of nothing in both, the first call adds the
 * pseudo header in both, the second adds the rest only in the former. */
static __always_inline long dns_deny_check(struct __sk_buff *skb, const struct packet *pkt,
					   __u32 check_off, __u32 size, __u32 sum)
{
	const __u64 flags = pkt->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	struct dns_ends ends = {
		.saddr = pkt->saddr,
		.daddr = pkt->daddr,
		.len = bpf_htonl(size),
		.protocol = bpf_htonl(pkt->protocol),
	};
	__s64 pseudo = bpf_csum_diff(NULL, 0, (__be32 *)&ends, sizeof(ends), 0);
	__u16 nothing = 0xffff;
	long ret;

	ret = bpf_skb_store_bytes(skb, check_off, &nothing, sizeof(nothing), 0);
	if (ret)
		return ret;
	ret = bpf_l4_csum_replace(skb, check_off, 0, pseudo, flags | BPF_F_PSEUDO_HDR);
	return ret ? ret : bpf_l4_csum_replace(skb, check_off, 0, sum, flags);
}

/* Puts `size` bytes of L4 header and payload, whose own sum is `sum`, in the place of the query's. */
static __always_inline int dns_deny_send(struct __sk_buff *skb, const struct packet *pkt,
					 const void *l4, __u32 size, __u32 check_off, __u32 sum)
{
	if (bpf_skb_change_tail(skb, pkt->l4_off + size, 0))
		return TC_ACT_SHOT;
	if (bpf_skb_store_bytes(skb, pkt->l4_off, l4, size, BPF_F_INVALIDATE_HASH))
		return TC_ACT_SHOT;
	if (dns_deny_check(skb, pkt, pkt->l4_off + check_off, size, sum))
		return TC_ACT_SHOT;
	if (enable_ipv4 && pkt->family == 4 && dns_deny_ip4(skb, pkt, size))
		return TC_ACT_SHOT;
	if (enable_ipv6 && pkt->family == 6 && dns_deny_ip6(skb, pkt, size))
		return TC_ACT_SHOT;
	if (dns_deny_ethernet(skb))
		return TC_ACT_SHOT;
	return bpf_redirect(skb->ifindex, 0);
}

/* Recursion is said to be there: it is the name that is refused. No EDNS in the answer, as from a
 * server that does without it. */
static __always_inline int dns_deny_udp(struct __sk_buff *skb, const struct packet *pkt,
					struct dns_scratch *s)
{
	struct dns_reply *reply = &s->reply;
	__u32 name = s->walk.out & 255, size;
	__u8 *tail = reply->question + name;
	__s64 sum;

	__builtin_memcpy(reply->question, s->event.name, sizeof(s->event.name));
	if (bpf_skb_load_bytes(skb, s->walk.off + s->walk.end, tail, 4))
		return TC_ACT_SHOT;
	__builtin_memset(tail + 4, 0, 4);
	size = offsetof(struct dns_reply, question) + name + 4;
	reply->sport = pkt->dport;
	reply->dport = pkt->sport;
	reply->len = bpf_htons(size);
	reply->check = 0;
	reply->header = (struct dns_header){
		.id = s->header.id,
		.flags = { DNS_FLAG_RESPONSE | (s->header.flags[0] & DNS_FLAG_RECURSE),
			   DNS_FLAG_RECURSES | DNS_REFUSED },
		.questions = bpf_htons(1),
	};
	sum = bpf_csum_diff(NULL, 0, (__be32 *)reply, (size + 3) & 0x1fc, 0);
	return dns_deny_send(skb, pkt, reply, size, offsetof(struct udphdr, check), sum);
}

static __always_inline int dns_deny_tcp(struct __sk_buff *skb, const struct packet *pkt)
{
	struct tcphdr query, reset = {};
	__u32 len = pkt->end_off - pkt->l4_off - pkt->l4_len;
	__s64 sum;

	if (bpf_skb_load_bytes(skb, pkt->l4_off, &query, sizeof(query)))
		return TC_ACT_SHOT;
	reset.source = query.dest;
	reset.dest = query.source;
	reset.seq = pkt->tcp_flags & TCP_ACK ? query.ack_seq : 0;
	reset.ack_seq = bpf_htonl(bpf_ntohl(query.seq) + len + !!(pkt->tcp_flags & TCP_SYN) +
				  !!(pkt->tcp_flags & TCP_FIN));
	reset.doff = sizeof(reset) / 4;
	reset.rst = 1;
	reset.ack = 1;
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&reset, sizeof(reset), 0);
	return dns_deny_send(skb, pkt, &reset, sizeof(reset), offsetof(struct tcphdr, check), sum);
}

static __always_inline int dns_deny_answer(struct __sk_buff *skb, const struct packet *pkt,
					   struct dns_scratch *s)
{
	if (pkt->protocol == IPPROTO_UDP)
		return dns_deny_udp(skb, pkt, s);
	return dns_deny_tcp(skb, pkt);
}
