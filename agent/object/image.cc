// SPDX-License-Identifier: Apache-2.0
#include "agent/object/image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/base/status.h"

namespace bonsai::object {
namespace {

constexpr uint64_t kMaxFileBytes = 256 << 20;
// Two sections closer than this are read at once: cheaper than another system call.
constexpr uint64_t kMaxGap = 16 << 10;

}  // namespace

absl::StatusOr<std::shared_ptr<Image>> Image::Open(const std::string& path, Storage storage) {
  std::shared_ptr<Image> image(new Image());
  image->fd_.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!image->fd_.valid()) {
    return base::InvalidArgument("reading object {}: cannot open the file", path);
  }
  struct stat info {};
  if (fstat(image->fd_.get(), &info) != 0 || S_ISDIR(info.st_mode)) {
    return base::InvalidArgument("reading object {}: it is a directory", path);
  }
  image->size_ = static_cast<uint64_t>(info.st_size);
  if (!S_ISREG(info.st_mode) || image->size_ > kMaxFileBytes) {
    return base::InvalidArgument("reading object {}: not a file of at most {} bytes", path,
                                 kMaxFileBytes);
  }
  if (storage == Storage::kMapped && image->size_ > 0) {
    void* data = mmap(nullptr, image->size_, PROT_READ, MAP_PRIVATE, image->fd_.get(), 0);
    image->mapped_ = data != MAP_FAILED;
    if (image->mapped_) image->data_ = static_cast<uint8_t*>(data);
  }
  if (!image->mapped_) {
    // Not touched, so not backed by memory, where nothing is fetched: debug information.
    image->buffer_ = std::make_unique_for_overwrite<uint8_t[]>(image->size_);
    image->data_ = image->buffer_.get();
  }
  return image;
}

std::shared_ptr<Image> Image::Of(std::vector<uint8_t> bytes) {
  std::shared_ptr<Image> image(new Image());
  image->given_ = std::move(bytes);
  image->data_ = image->given_.data();
  image->size_ = image->given_.size();
  return image;
}

Image::~Image() {
  if (mapped_) munmap(data_, size_);
}

bool Image::Fetch(std::vector<Range> ranges) {
  for (const Range& range : ranges) {
    if (range.offset > size_ || range.size > size_ - range.offset) return false;
  }
  if (mapped_ || !fd_.valid()) return true;
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.offset < b.offset; });
  Range pending;
  for (const Range& range : ranges) {
    if (range.offset > pending.offset + pending.size + kMaxGap) {
      if (!ReadRange(pending)) return false;
      pending = range;
    } else {
      const uint64_t end = std::max(pending.offset + pending.size, range.offset + range.size);
      pending.size = end - pending.offset;
    }
  }
  return ReadRange(pending);
}

bool Image::ReadRange(Range range) {
  while (range.size > 0) {
    const ssize_t got = pread(fd_.get(), data_ + range.offset, range.size,
                              static_cast<off_t>(range.offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;  // the file shrank
    range.offset += static_cast<uint64_t>(got);
    range.size -= static_cast<uint64_t>(got);
  }
  return true;
}

}  // namespace bonsai::object
