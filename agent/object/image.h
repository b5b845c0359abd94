// SPDX-License-Identifier: Apache-2.0
// The bytes of one object file, at their offsets. A spec's code, strings and lines are views of
// them, so that it holds a share. One thread while Fetch() is used, any number afterwards.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agent/base/unique_fd.h"
#include "agent/object/object_spec.h"

namespace bonsai::object {

using Bytes = std::span<const uint8_t>;

class Image {
 public:
  struct Range {
    uint64_t offset = 0, size = 0;
  };

  static absl::StatusOr<std::shared_ptr<Image>> Open(const std::string& path, Storage storage);
  static std::shared_ptr<Image> Of(std::vector<uint8_t> bytes);
  ~Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  uint64_t size() const { return size_; }
  // Makes these bytes readable; false when some are beyond the end or cannot be read. Ranges may
  // overlap: no byte is read twice in one call.
  bool Fetch(std::vector<Range> ranges);
  bool Fetch(Range range) { return Fetch(std::vector<Range>{range}); }
  // Only what was fetched has the file's content.
  Bytes bytes() const { return {data_, size_}; }
  // No more Fetch(): gives the file back.
  void Close() { fd_.reset(); }

  // The section .BTF, for what is decoded when asked for; set once read.
  Bytes btf;

 private:
  Image() = default;
  bool ReadRange(Range range);

  base::UniqueFd fd_;                    // valid: bytes come from it
  bool mapped_ = false;
  std::unique_ptr<uint8_t[]> buffer_;    // from the file and not mapped: where they go
  std::vector<uint8_t> given_;
  uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace bonsai::object
