// SPDX-License-Identifier: Apache-2.0
// Prometheus metrics of a snapshot, prefix bonsai_.
#pragma once

#include <prometheus/collectable.h>

#include <string>

#include "agent/report/snapshot.h"

namespace bonsai::report {

// Thread-safe; reads the snapshot that is current when asked. `publisher` must outlive it.
class MetricsCollector : public prometheus::Collectable {
 public:
  explicit MetricsCollector(const Publisher& publisher) : publisher_(publisher) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Publisher& publisher_;
};

// The text exposition format.
std::string MetricsText(const MetricsCollector& collector);

}  // namespace bonsai::report
