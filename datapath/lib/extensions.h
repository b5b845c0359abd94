/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * IPv6 extension headers, and what every part of parsing can answer.
 *
 *   enum parse_result	answers
 *   parse_extensions()	walk from the IPv6 header to the L4 header, or to what stands in its place
 *			in an encrypted, authenticated or empty packet
 *
 * Bounded: four option headers, a fragment header, two more option headers; what has more is
 * invalid. AH is taken for the L4 protocol that it is to those who cannot check it.
 */
#pragma once

#include "packet.h"

#include <linux/in.h>
#include <linux/in6.h>

enum parse_result {
	PARSE_OK = 0,
	PARSE_OTHER,		/* not IP, or tagged for a VLAN: not ours */
	PARSE_FAMILY_OFF,	/* IP of a family that is switched off; only `family` is set */
	PARSE_SHORT,		/* ran off [data, end) */
	PARSE_INVALID,		/* contradicts itself */
};

#define PARSE_OPTIONS 4		/* IPv6 option headers looked through */
#define PARSE_INNER_OPTIONS 2	/* the same, behind a fragment header */
#define PARSE_L4_MAX 511	/* largest offset of the L4 header; all bits set */

#define IP6_MORE_FRAGMENTS 0x0001
#define IP6_FRAGMENT_OFFSET 0xfff8
#define NEXTHDR_FRAGMENT 44

struct ext_header {
	__u8 nexthdr;
	__u8 len;
	__be16 frag_off;	/* fragment header only */
	__u32 rest;
};

/* Header at `off`, or NULL with `ret` set. Masking changes nothing, but makes the verifier forget the
 * lower bound that the headers before gave, so that it need not follow each number of them. */
static __always_inline struct ext_header *parse_extension(void *data, void *end,
							  const struct packet *pkt, __u32 *off,
							  int *ret)
{
	struct ext_header *ext;

	*ret = PARSE_INVALID;
	if (*off > PARSE_L4_MAX || *off + sizeof(*ext) > pkt->end_off)
		return NULL;
	barrier_var(*off);
	*off &= PARSE_L4_MAX;
	*ret = PARSE_SHORT;
	ext = data + *off;
	return (void *)(ext + 1) > end ? NULL : ext;
}

static __always_inline bool parse_is_option(__u8 proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_DSTOPTS;
}

/* Skips at most `max` option headers. */
static __always_inline int parse_options(void *data, void *end, struct packet *pkt, const int max)
{
	__u32 off = pkt->l4_off;
	__u8 proto = pkt->protocol;
	int ret = PARSE_OK;

	for (int i = 0; i < max && parse_is_option(proto); i++) {
		struct ext_header *ext = parse_extension(data, end, pkt, &off, &ret);

		if (!ext)
			return ret;
		proto = ext->nexthdr;
		off += (ext->len + 1) * 8;
	}
	pkt->l4_off = off;
	pkt->protocol = proto;
	return parse_is_option(proto) ? PARSE_INVALID : PARSE_OK;
}

static __always_inline int parse_fragment(void *data, void *end, struct packet *pkt)
{
	struct ext_header *ext;
	__u16 frag;
	int ret;

	ext = parse_extension(data, end, pkt, &pkt->l4_off, &ret);
	if (!ext)
		return ret;
	frag = bpf_ntohs(ext->frag_off);
	if (frag & (IP6_MORE_FRAGMENTS | IP6_FRAGMENT_OFFSET))
		pkt->flags |= PKT_FRAGMENT;
	if (frag & IP6_FRAGMENT_OFFSET)
		pkt->flags |= PKT_LATER_FRAGMENT;
	pkt->protocol = ext->nexthdr;
	pkt->l4_off += sizeof(*ext);
	return pkt->protocol == NEXTHDR_FRAGMENT ? PARSE_INVALID : PARSE_OK;
}

/* Walks to the L4 header, or to what an encrypted or empty packet has in its place. */
static __always_inline int parse_extensions(void *data, void *end, struct packet *pkt)
{
	int ret = parse_options(data, end, pkt, PARSE_OPTIONS);

	if (ret != PARSE_OK || pkt->protocol != NEXTHDR_FRAGMENT)
		return ret;
	ret = parse_fragment(data, end, pkt);
	if (ret != PARSE_OK || pkt->flags & PKT_LATER_FRAGMENT)
		return ret;
	ret = parse_options(data, end, pkt, PARSE_INNER_OPTIONS);
	return pkt->protocol == NEXTHDR_FRAGMENT ? PARSE_INVALID : ret;
}
