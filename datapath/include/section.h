/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sections, tags and attributes, so that the rest of the datapath reads like plain C. */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define BONSAI_STR_(x) #x
#define BONSAI_STR(x) BONSAI_STR_(x)

/* A tail-call program declares the slot it fills: `tail:<map>/<slot>`. The agent fills the array
 * after loading, and the reachability engine resolves bpf_tail_call(ctx, &map, slot) with it. */
#define TAIL(map, slot) __attribute__((btf_decl_tag("tail:" #map "/" BONSAI_STR(slot))))

/* The feature a map belongs to, and the setting (not a constant) that sizes it. */
#define MAP_FEATURE(name) __attribute__((btf_decl_tag("feature:" name)))
#define MAP_SIZED_BY(key) __attribute__((btf_decl_tag("size:" key)))
/* The version of what key and value mean; without it 1. Raise it with every change of a struct that
 * a shared map holds: an agent then sees what an earlier one left, and never misreads it. */
#define MAP_LAYOUT(version) __attribute__((btf_decl_tag("layout:" BONSAI_STR(version))))

/* Its contents mean nothing at another size: the map is then made anew, not copied. */
#define MAP_RESIZED_EMPTY __attribute__((btf_decl_tag("resize:empty")))

#define __must_check __attribute__((warn_unused_result))
