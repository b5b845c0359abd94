/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature http-visibility: the bytes of a segment, in struct http_scratch, to struct http_event.
 *
 *   http_is_token()		a byte that a method may begin with
 *   http_parse_request()	enum l7_kind, or HTTP_NONE; http.h says what these are
 *   http_parse_response()	the same
 *
 * What one loop leaves to the next lies in the scratch map, and is written and read back as it says
 * (HTTP_LOAD, HTTP_STORE). In a register the verifier would know another range of it for each byte that
 * the loop may end at, and would walk all that follows as often: a thousand times, twice.
 */
#pragma once

#include "../include/config.h"
#include "../include/maps.h"

#define HTTP_METHOD_MAX 32	/* longest token that is taken for a method */

/* The first seven bytes of a response, and " HTTP/1.", as numbers in the order of the bytes. */
#define HTTP_VERSION 0x485454502f312eULL
#define HTTP_SPACE_VERSION (0x20ULL << 56 | HTTP_VERSION)

#define HTTP_LOAD(x) (*(volatile typeof(x) *)&(x))
#define HTTP_STORE(x, value) (*(volatile typeof(x) *)&(x) = (value))

#define HTTP_NONE 0		/* no message; else an enum l7_kind */

enum http_line {
	HTTP_LINE_BAD,
	HTTP_LINE_CUT,		/* good as far as the segment goes */
	HTTP_LINE_WHOLE,
};

/* Where in the headers a byte is: 0..4, so many bytes of "host:" have been met in this line; or */
enum http_at {
	HTTP_AT_VALUE = 5,	/* behind "host:" */
	HTTP_AT_OTHER,		/* in another header */
	HTTP_AT_RETURN,		/* behind a CR that begins a line */
};

/* RFC 9110, 5.6.2: digits, letters and ! # $ % & ' * + - . ^ _ ` | ~ */
static __always_inline bool http_is_token(__u8 c)
{
	const __u64 low = 0x03ff6cfa00000000ULL;
	const __u64 high = 0x57ffffffc7fffffeULL;

	return c < 128 && (c < 64 ? low : high) >> (c & 63) & 1;
}

static __always_inline bool http_is_space(__u8 c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static __always_inline __u8 http_byte(const struct http_scratch *s, __u32 off)
{
	return s->bytes[off & (HTTP_READ - 1)];
}

/* `word`: a method's bytes as a number in their order. */
static __always_inline __u8 http_method(__u64 word)
{
	switch (word) {
	case 0x474554ULL:
		return HTTP_GET;
	case 0x48454144ULL:
		return HTTP_HEAD;
	case 0x504f5354ULL:
		return HTTP_POST;
	case 0x505554ULL:
		return HTTP_PUT;
	case 0x44454c455445ULL:
		return HTTP_DELETE;
	case 0x434f4e4e454354ULL:
		return HTTP_CONNECT;
	case 0x4f5054494f4e53ULL:
		return HTTP_OPTIONS;
	case 0x5452414345ULL:
		return HTTP_TRACE;
	case 0x5041544348ULL:
		return HTTP_PATCH;
	}
	return HTTP_OTHER;
}

/* Length of the method, which a space follows; 0: there is none. */
static __always_inline __u32 http_parse_method(struct http_scratch *s)
{
	__u32 len = HTTP_LOAD(s->len);
	__u64 word = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i <= HTTP_METHOD_MAX; i++) {
		__u8 c = s->bytes[i];

		if (i >= len)
			return 0;
		if (c == ' ') {
			s->event.method = i <= 8 ? http_method(word) : HTTP_OTHER;
			return i;
		}
		if (!http_is_token(c))
			return 0;
		word = word << 8 | c;
	}
	return 0;
}

/* Copies the target, which begins at `off`, and leaves in s->off where it ends. */
static __always_inline void http_parse_target(struct http_scratch *s, __u32 off)
{
	__u32 len = HTTP_LOAD(s->len);

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < HTTP_READ; i++) {
		__u8 c = http_byte(s, off);

		if (off >= len || c <= ' ' || c == 0x7f)
			break;
		if (i < sizeof(s->event.path))
			s->event.path[i] = c;
		off++;
	}
	HTTP_STORE(s->off, off);
}

/* What stands behind the target's space, from `off` on: a version and the end of the line. */
static __always_inline int http_parse_version(struct http_scratch *s, __u32 off)
{
	__u32 len = HTTP_LOAD(s->len);
	__u8 c;

#pragma unroll
	for (int i = 0; i < 7; i++) {
		if (off + i >= len)
			return HTTP_LINE_CUT;
		if (http_byte(s, off + i) != (__u8)(HTTP_VERSION >> (48 - 8 * i)))
			return HTTP_LINE_BAD;
	}
	off += 7;
	if (off >= len)
		return HTTP_LINE_CUT;
	c = http_byte(s, off++);
	if (c < '0' || c > '9')
		return HTTP_LINE_BAD;
	if (off < len && http_byte(s, off) == '\r')
		off++;
	if (off < len && http_byte(s, off++) != '\n')
		return HTTP_LINE_BAD;
	s->event.minor = c - '0';
	HTTP_STORE(s->off, off);
	return HTTP_LINE_WHOLE;
}

/* Whether " HTTP/1." stands in what is left of the line. */
static __always_inline bool http_has_version(const struct http_scratch *s, __u32 off)
{
	__u32 len = HTTP_LOAD(s->len);
	__u64 word = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < HTTP_READ; i++) {
		__u8 c = http_byte(s, off);

		if (off >= len || c == '\n')
			return false;
		word = word << 8 | c;
		if (word == HTTP_SPACE_VERSION)
			return true;
		off++;
	}
	return false;
}

/* Takes one byte of Host's value. White space around it is not part of it. */
static __always_inline void http_host_value(struct http_scratch *s, __u8 c)
{
	__u32 at = HTTP_LOAD(s->value_len);
	const bool space = http_is_space(c);

	if (space && !at)
		return;
	if (at < sizeof(s->event.host)) {
		s->event.host[at & (sizeof(s->event.host) - 1)] = c;
		if (!space)
			HTTP_STORE(s->event.host_len, (__u8)(at + 1));
	} else if (!space) {
		HTTP_STORE(s->event.flags, HTTP_LOAD(s->event.flags) | HTTP_HOST_CUT);
	}
	HTTP_STORE(s->value_len, at + 1);
}

/* Takes one byte of the headers. True: Host or the headers are at their end. */
static __always_inline bool http_header_byte(struct http_scratch *s, __u8 c)
{
	const __u64 name = 0x3a74736f68ULL; /* "host:", first byte lowest */
	__u32 at = HTTP_LOAD(s->at);
	__u32 next = HTTP_AT_OTHER;

	if (c == '\n') {
		if (at == HTTP_AT_VALUE || !at || at == HTTP_AT_RETURN)
			return true;
		next = 0;
	} else if (at == HTTP_AT_VALUE) {
		http_host_value(s, c);
		return false;
	} else if (at < HTTP_AT_VALUE) {
		__u8 lower = c >= 'A' && c <= 'Z' ? c + 0x20 : c;

		if (lower == (__u8)(name >> (at * 8)))
			next = at + 1;
		else if (!at && c == '\r')
			next = HTTP_AT_RETURN;
	}
	HTTP_STORE(s->at, next);
	return false;
}

static __always_inline void http_parse_host(struct http_scratch *s)
{
	__u32 len = HTTP_LOAD(s->len);
	__u32 off = HTTP_LOAD(s->off);

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < HTTP_READ && off < len; i++) {
		if (http_header_byte(s, http_byte(s, off)))
			return;
		off++;
	}
	if (HTTP_LOAD(s->at) == HTTP_AT_VALUE)
		s->event.flags |= HTTP_HOST_CUT;
}

static __always_inline int http_request_line(struct http_scratch *s)
{
	__u32 start = HTTP_LOAD(s->start);
	__u32 end;

	http_parse_target(s, start);
	end = HTTP_LOAD(s->off);
	if (end == start)
		return HTTP_LINE_BAD;
	s->event.path_len = end - start;
	if (end - start > sizeof(s->event.path)) {
		s->event.path_len = sizeof(s->event.path);
		s->event.flags |= HTTP_PATH_CUT;
	}
	if (end >= HTTP_LOAD(s->len))
		return HTTP_LINE_CUT;
	return http_byte(s, end) == ' ' ? http_parse_version(s, end + 1) : HTTP_LINE_BAD;
}

static __always_inline __u8 http_parse_request(struct http_scratch *s)
{
	__u32 method_len = http_parse_method(s);
	int line;

	if (!method_len)
		return HTTP_NONE;
	HTTP_STORE(s->start, method_len + 1);
	line = http_request_line(s);
	if (line == HTTP_LINE_WHOLE) {
		http_parse_host(s);
		return L7_REQUEST;
	}
	if (HTTP_LOAD(s->event.method) == HTTP_OTHER)
		return HTTP_NONE;
	if (line == HTTP_LINE_CUT) {
		s->event.flags |= HTTP_PATH_CUT;
		return L7_REQUEST;
	}
	return http_has_version(s, HTTP_LOAD(s->start) - 1) ? L7_MALFORMED : HTTP_NONE;
}

/* Of a segment that begins with HTTP_VERSION. A status that is cut short is none: who sees so little of
 * a response cannot say what it was. */
static __always_inline __u8 http_parse_response(struct http_scratch *s)
{
	__u32 len = HTTP_LOAD(s->len);
	__u32 status = 0;

	if (s->bytes[7] < '0' || s->bytes[7] > '9')
		return L7_MALFORMED;
	s->event.minor = s->bytes[7] - '0';
	if (len < 9)
		return HTTP_NONE;
	if (s->bytes[8] != ' ')
		return L7_MALFORMED;
	for (__u32 i = 9; i < 12; i++) {
		if (i >= len)
			return HTTP_NONE;
		if (s->bytes[i] < '0' || s->bytes[i] > '9')
			return L7_MALFORMED;
		status = status * 10 + s->bytes[i] - '0';
	}
	if (status < 100 || (len > 12 && !http_is_space(s->bytes[12]) && s->bytes[12] != '\n'))
		return L7_MALFORMED;
	s->event.status = status;
	return L7_RESPONSE;
}
