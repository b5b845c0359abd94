// SPDX-License-Identifier: Apache-2.0
#include "agent/report/dns_decode.h"

namespace bonsai::report {

DnsDetails DecodeDns(const dns_event& event) {
  return {.id = event.id,
          .name_cut = (event.flags & DNS_NAME_CUT) != 0,
          .answers_cut = (event.flags & DNS_ANSWERS_CUT) != 0,
          .truncated = (event.flags & DNS_TRUNCATED) != 0};
}

}  // namespace bonsai::report
