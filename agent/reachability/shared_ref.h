// SPDX-License-Identifier: Apache-2.0
// Copy-on-write: references that share a T until one of them writes to it. The Ts of an analysis come
// from one pool, for they come and go at every merge.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace bonsai::reachability {

// Hands out Ts and takes them back; they stay where they are until the pool goes. T has a member
// `T* next_free`. One thread only.
template <typename T>
class Pool {
 public:
  T* Take() {
    if (free_ == nullptr) Grow();
    return std::exchange(free_, free_->next_free);
  }
  void Give(T* item) { item->next_free = std::exchange(free_, item); }

 private:
  static constexpr size_t kChunk = 64;  // items

  void Grow() {
    chunks_.push_back(std::make_unique<T[]>(kChunk));
    for (size_t i = kChunk; i-- > 0;) Give(&chunks_.back()[i]);
  }

  T* free_ = nullptr;
  std::vector<std::unique_ptr<T[]>> chunks_;
};

// Owns a reference to a T, which counts them in `references` and knows its `pool`; null: a T that
// says nothing. One thread only.
template <typename T>
class SharedRef {
 public:
  SharedRef() = default;
  SharedRef(const SharedRef& other) : target_(other.target_) {
    if (target_ != nullptr) ++target_->references;
  }
  SharedRef(SharedRef&& other) noexcept : target_(std::exchange(other.target_, nullptr)) {}
  SharedRef& operator=(const SharedRef& other) {
    if (other.target_ != nullptr) ++other.target_->references;
    Release(std::exchange(target_, other.target_));
    return *this;
  }
  SharedRef& operator=(SharedRef&& other) noexcept {
    std::swap(target_, other.target_);
    return *this;
  }
  ~SharedRef() { Release(target_); }

  const T* get() const { return target_; }
  // This reference's own copy.
  T& Writable(Pool<T>& pool) {
    if (target_ != nullptr && target_->references == 1) return *target_;
    T* own = pool.Take();
    own->Become(target_);
    own->pool = &pool;
    own->references = 1;
    Release(std::exchange(target_, own));
    return *own;
  }

 private:
  static void Release(T* target) {
    if (target == nullptr || --target->references != 0) return;
    target->Clear();
    target->pool->Give(target);
  }
  T* target_ = nullptr;
};

}  // namespace bonsai::reachability
