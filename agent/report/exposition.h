// SPDX-License-Identifier: Apache-2.0
// Metric families under construction, prefix bonsai_. Used by one thread.
#pragma once

#include <prometheus/metric_family.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace bonsai::report {

using Labels = std::vector<std::pair<std::string, std::string>>;

// One family under construction. Families without samples are left out.
class Family {
 public:
  Family(std::string name, std::string help, prometheus::MetricType type) {
    family_.name = "bonsai_" + std::move(name);
    family_.help = std::move(help);
    family_.type = type;
  }
  Family& Add(double value, const Labels& labels = {}) {
    prometheus::ClientMetric metric;
    for (const auto& [name, text] : labels) metric.label.push_back({name, text});
    if (family_.type == prometheus::MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    family_.metric.push_back(std::move(metric));
    return *this;
  }
  prometheus::MetricFamily Take() { return std::move(family_); }
  bool empty() const { return family_.metric.empty(); }

 private:
  prometheus::MetricFamily family_;
};

class Exposition {
 public:
  Family& Gauge(const std::string& name, const std::string& help) {
    return families_.emplace_back(name, help, prometheus::MetricType::Gauge);
  }
  // `name` without the _total that a counter ends in.
  Family& Counter(const std::string& name, const std::string& help) {
    return families_.emplace_back(name + "_total", help, prometheus::MetricType::Counter);
  }
  std::vector<prometheus::MetricFamily> Take() {
    std::vector<prometheus::MetricFamily> taken;
    for (Family& family : families_) {
      if (!family.empty()) taken.push_back(family.Take());
    }
    return taken;
  }

 private:
  std::deque<Family> families_;  // references stay valid
};

}  // namespace bonsai::report
