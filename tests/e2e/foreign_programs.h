// SPDX-License-Identifier: Apache-2.0
// Someone else's programs on the devices of a cluster's node: by TCX, by XDP and by tc filter. They
// let everything pass and go with the object.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/unique_fd.h"
#include "tests/support/netns.h"

namespace bonsai::testing {

class ForeignPrograms {
 public:
  explicit ForeignPrograms(const Netns& node) : node_(node) {}
  ~ForeignPrograms();

  // At the end of what stands there already.
  void AddTcx(const std::string& device, bool ingress);
  void AddXdp(const std::string& device);
  // Makes the device's clsact qdisc if there is none.
  void AddFilter(const std::string& device);

  // Which of them are not where they were put, with the program that was put there; "" when all are.
  std::string Missing() const;

 private:
  struct Link {
    std::string what;
    base::UniqueFd fd;
    uint32_t program = 0;
  };
  struct Filter {
    std::string device;
    uint32_t program = 0;
  };
  base::UniqueFd Load(uint32_t type, int verdict) const;
  void AddLink(const std::string& what, const std::string& device, uint32_t program_type,
               int verdict, uint32_t attach_type);

  const Netns& node_;
  std::vector<Link> links_;
  std::vector<Filter> filters_;
};

}  // namespace bonsai::testing
