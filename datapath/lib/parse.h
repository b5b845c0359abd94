/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From bytes to struct packet. Reads nothing but the frame; touches no map.
 *
 *   parse_skb()	whole frame at a tc hook; pulls headers into the linear part if need be
 *   parse_l3()		Ethernet and IP header only: family, addresses, protocol
 *   parse_l4()		extension headers, ports, ICMP; after parse_l3()
 *
 * Each returns an enum parse_result. `families` is a literal: a program that is only called for one
 * family holds the code of that family only. A header must lie inside the IP packet, not merely
 * inside the frame: padding is never parsed.
 */
#pragma once

#include "../include/config.h"
#include "extensions.h"

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

enum parse_families {
	PARSE_IPV4 = 1 << 0,
	PARSE_IPV6 = 1 << 1,
	PARSE_IP = PARSE_IPV4 | PARSE_IPV6,
};

#define PARSE_PULL 576		/* bytes made linear if a header was not */

#define IP_MORE_FRAGMENTS 0x2000
#define IP_FRAGMENT_OFFSET 0x1fff
#define VLAN_VID_MASK 0x0fff

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

struct ports {
	__be16 source;
	__be16 dest;
};

/* A priority tag (VLAN 0) does not hide a packet from the stack, so it must not hide it from us; any
 * other VLAN is somebody else's. At tc hooks the stack has taken the tag out of the frame: one left
 * inside it (`tags` 0) is a second one, which nobody needs. */
static __always_inline int parse_ethernet(void *data, void *end, struct packet *pkt, __be16 *proto,
					  const int tags)
{
	struct ethhdr *eth = data;
	__u32 off = ETH_HLEN;

	if ((void *)(eth + 1) > end)
		return PARSE_SHORT;
	*proto = eth->h_proto;
#pragma unroll
	for (int i = 0; i <= tags; i++) {
		struct vlan_tag *tag = data + off;

		if (*proto != bpf_htons(ETH_P_8021Q) && *proto != bpf_htons(ETH_P_8021AD)) {
			pkt->l3_off = off;
			return PARSE_OK;
		}
		if ((void *)(tag + 1) > end)
			return PARSE_SHORT;
		if (tag->tci & bpf_htons(VLAN_VID_MASK))
			return PARSE_OTHER;
		*proto = tag->proto;
		off += sizeof(*tag);
	}
	return PARSE_INVALID;
}

static __always_inline int parse_ipv4(void *data, void *end, struct packet *pkt)
{
	struct iphdr *ip = data + pkt->l3_off;
	__u32 frag, header, total;

	if ((void *)(ip + 1) > end)
		return PARSE_SHORT;
	pkt->saddr.v4 = ip->saddr;
	pkt->daddr.v4 = ip->daddr;
	pkt->protocol = ip->protocol;

	header = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	/* Said outright and not left to total < header: verifiers before 6.8 do not decide a compare
	 * of a known number with a range, and go on with a header that ends before it begins. */
	if (!total) {
		if (pkt->len <= 0xffff)
			return PARSE_INVALID;
		total = pkt->len - pkt->l3_off; /* BIG TCP: the length is the frame's */
	}
	if (ip->version != 4 || header < sizeof(*ip) || total < header)
		return PARSE_INVALID;
	pkt->end_off = pkt->l3_off + total;
	if (pkt->end_off > pkt->len)
		return PARSE_INVALID;
	pkt->l4_off = pkt->l3_off + header;

	frag = bpf_ntohs(ip->frag_off);
	if (frag & (IP_MORE_FRAGMENTS | IP_FRAGMENT_OFFSET))
		pkt->flags |= PKT_FRAGMENT;
	if (frag & IP_FRAGMENT_OFFSET)
		pkt->flags |= PKT_LATER_FRAGMENT;
	/* A second fragment that starts inside the TCP header could rewrite what was checked. */
	if ((frag & IP_FRAGMENT_OFFSET) == 1 && ip->protocol == IPPROTO_TCP)
		return PARSE_INVALID;
	return PARSE_OK;
}

static __always_inline int parse_ipv6(void *data, void *end, struct packet *pkt)
{
	struct ipv6hdr *ip = data + pkt->l3_off;
	__u32 total;

	if ((void *)(ip + 1) > end)
		return PARSE_SHORT;
	__builtin_memcpy(&pkt->saddr, &ip->saddr, sizeof(pkt->saddr));
	__builtin_memcpy(&pkt->daddr, &ip->daddr, sizeof(pkt->daddr));
	pkt->protocol = ip->nexthdr;

	total = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	if (total == sizeof(*ip) && pkt->len > 0xffff) /* jumbogram */
		total = pkt->len - pkt->l3_off;
	if (ip->version != 6)
		return PARSE_INVALID;
	pkt->end_off = pkt->l3_off + total;
	if (pkt->end_off > pkt->len)
		return PARSE_INVALID;
	pkt->l4_off = pkt->l3_off + sizeof(*ip);
	return PARSE_OK;
}

static __always_inline int parse_l3(void *data, void *end, struct packet *pkt, const int families,
				    const int tags)
{
	__be16 proto;
	int ret = parse_ethernet(data, end, pkt, &proto, tags);

	if (ret != PARSE_OK)
		return ret;
	if (families & PARSE_IPV4 && proto == bpf_htons(ETH_P_IP)) {
		pkt->family = 4;
		if (enable_ipv4)
			return parse_ipv4(data, end, pkt);
		return PARSE_FAMILY_OFF;
	}
	if (families & PARSE_IPV6 && proto == bpf_htons(ETH_P_IPV6)) {
		pkt->family = 6;
		if (enable_ipv6)
			return parse_ipv6(data, end, pkt);
		return PARSE_FAMILY_OFF;
	}
	return PARSE_OTHER;
}

static __always_inline int parse_tcp(void *l4, void *end, struct packet *pkt, __u32 room)
{
	struct tcphdr *tcp = l4;

	if (room < sizeof(*tcp))
		return PARSE_INVALID;
	if ((void *)(tcp + 1) > end)
		return PARSE_SHORT;
	if (tcp->doff * 4 < sizeof(*tcp) || tcp->doff * 4 > room)
		return PARSE_INVALID;
	pkt->sport = tcp->source;
	pkt->dport = tcp->dest;
	pkt->tcp_flags = ((__u8 *)tcp)[13];
	pkt->l4_len = tcp->doff * 4;
	return PARSE_OK;
}

/* UDP, and SCTP, which begins alike. */
static __always_inline int parse_ports(void *l4, void *end, struct packet *pkt, __u32 room)
{
	struct ports *ports = l4;

	if (room < (pkt->protocol == IPPROTO_SCTP ? 12 : sizeof(struct udphdr)))
		return PARSE_INVALID;
	if ((void *)(ports + 1) > end)
		return PARSE_SHORT;
	pkt->sport = ports->source;
	pkt->dport = ports->dest;
	if (pkt->protocol == IPPROTO_UDP)
		pkt->l4_len = sizeof(struct udphdr);
	return PARSE_OK;
}

static __always_inline int parse_icmp(void *l4, void *end, struct packet *pkt, __u32 room,
				      const bool v6)
{
	struct icmp_header *icmp = l4;
	__u8 type;

	if (room < sizeof(*icmp))
		return PARSE_INVALID;
	if ((void *)(icmp + 1) > end)
		return PARSE_SHORT;
	type = icmp->type;
	pkt->flags |= PKT_ICMP;
	pkt->icmp_type = bpf_htons((__u16)(type << 8 | icmp->code));
	if (icmp_is_echo(type, v6))
		pkt->sport = icmp->echo_id;
	else if (icmp_is_echo_reply(type, v6))
		pkt->dport = icmp->echo_id;
	else if (icmp_is_error(type, v6))
		pkt->flags |= PKT_ICMP_ERROR;
	else if (v6 && type >= 133 && type <= 137)
		pkt->flags |= PKT_ND;
	return PARSE_OK;
}

static __always_inline int parse_transport(void *data, void *end, struct packet *pkt,
					   const bool v6)
{
	__u32 off = pkt->l4_off;
	__u32 room;
	void *l4;

	if (pkt->flags & PKT_LATER_FRAGMENT)
		return PARSE_OK;
	if (off > pkt->end_off || off > PARSE_L4_MAX)
		return PARSE_INVALID;
	room = pkt->end_off - off;
	l4 = data + off;
	switch (pkt->protocol) {
	case IPPROTO_TCP:
		return parse_tcp(l4, end, pkt, room);
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		return parse_ports(l4, end, pkt, room);
	case IPPROTO_ICMP:
		return v6 ? PARSE_OK : parse_icmp(l4, end, pkt, room, false);
	case IPPROTO_ICMPV6:
		return v6 ? parse_icmp(l4, end, pkt, room, true) : PARSE_OK;
	}
	return PARSE_OK;
}

static __always_inline int parse_l4(void *data, void *end, struct packet *pkt, const int families)
{
	if (families & PARSE_IPV4 && enable_ipv4 && pkt->family == 4)
		return parse_transport(data, end, pkt, false);
	if (families & PARSE_IPV6 && enable_ipv6 && pkt->family == 6) {
		int ret = parse_extensions(data, end, pkt);

		return ret == PARSE_OK ? parse_transport(data, end, pkt, true) : ret;
	}
	return PARSE_OTHER;
}

static __always_inline int parse_skb(struct __sk_buff *skb, struct packet *pkt, const int families)
{
	int ret = PARSE_SHORT;

	*pkt = (struct packet){ .len = skb->len };
	if (skb->vlan_present && (skb->vlan_tci & VLAN_VID_MASK))
		return PARSE_OTHER;
	for (int i = 0; i < 2; i++) {
		void *data = (void *)(long)skb->data;
		void *end = (void *)(long)skb->data_end;

		*pkt = (struct packet){ .len = skb->len };
		ret = parse_l3(data, end, pkt, families, 0);
		if (ret == PARSE_OK)
			ret = parse_l4(data, end, pkt, families);
		if (ret != PARSE_SHORT || end - data >= pkt->len)
			break;
		if (bpf_skb_pull_data(skb, pkt->len < PARSE_PULL ? pkt->len : PARSE_PULL))
			break;
	}
	return ret == PARSE_SHORT ? PARSE_INVALID : ret;
}
