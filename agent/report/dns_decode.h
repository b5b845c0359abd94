// SPDX-License-Identifier: Apache-2.0
// A DNS event of the datapath to words. Pure; nothing in the event is trusted.
#pragma once

#include "agent/report/l7.h"
#include "datapath/include/contract.h"

namespace bonsai::report {

DnsDetails DecodeDns(const dns_event& event);

}  // namespace bonsai::report
