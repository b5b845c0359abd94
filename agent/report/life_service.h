// SPDX-License-Identifier: Apache-2.0
// LifeService: bonsai.v1.Life at the desk. Called by gRPC's threads; it holds no state but the flag
// that ends streams and the number of those who watch.
#pragma once

#include <atomic>
#include <functional>

#include "agent/report/life_desk.h"
#include "bonsai/v1/life.grpc.pb.h"

namespace bonsai::report {

class LifeService final : public v1::Life::Service {
 public:
  static constexpr int kMostWatchers = 8;

  explicit LifeService(LifeDesk& desk) : desk_(desk) {}

  void EndStreams() { ending_ = true; }

  grpc::Status GetBoard(grpc::ServerContext* context, const v1::GetBoardRequest*,
                        v1::GetBoardResponse* response) override;
  grpc::Status WatchBoard(grpc::ServerContext* context, const v1::WatchBoardRequest* request,
                          grpc::ServerWriter<v1::WatchBoardResponse>* writer) override;
  grpc::Status SeedBoard(grpc::ServerContext* context, const v1::SeedBoardRequest* request,
                         v1::SeedBoardResponse* response) override;
  grpc::Status ControlBoard(grpc::ServerContext* context, const v1::ControlBoardRequest* request,
                            v1::ControlBoardResponse* response) override;

 private:
  class Watcher;

  LifeDesk::Cancelled Gone(const grpc::ServerContext& context) const;
  grpc::Status Failed(const absl::Status& status) const;
  absl::Status WaitForStep(uint64_t seeds, uint64_t generation, const LifeDesk::Cancelled& gone,
                           life_state& state);

  LifeDesk& desk_;
  std::atomic<bool> ending_{false};
  std::atomic<int> watchers_{0};
};

v1::LifeState ToLifeState(const life_state& state);
v1::LifeBoard ToLifeBoard(const tables::LifeView& view);

}  // namespace bonsai::report
