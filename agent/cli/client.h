// SPDX-License-Identifier: Apache-2.0
// Client: one connection to the agent's socket. Not thread-safe.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "bonsai/v1/agent.pb.h"
#include "bonsai/v1/life.pb.h"

namespace bonsai::cli {

class Client {
 public:
  using Timeout = std::chrono::duration<double>;

  explicit Client(std::string socket_path);
  ~Client();

  // Any unary answer of bonsai.v1.Agent. Errors carry the server's code; Unavailable when nobody
  // serves on the socket; messages say what to do.
  template <typename Response>
  absl::StatusOr<Response> Get(Timeout timeout);

  absl::StatusOr<v1::ExplainResponse> Explain(const v1::ExplainRequest& request, Timeout timeout);
  // Errors as of Get.
  absl::StatusOr<v1::PlanChangeResponse> PlanChange(const v1::PlanChangeRequest& request,
                                                    Timeout timeout);

  // ---- bonsai.v1.Life; errors as of Get ----
  absl::StatusOr<v1::LifeBoard> GetBoard(Timeout timeout);
  absl::StatusOr<v1::LifeState> SeedBoard(const v1::SeedBoardRequest& request, Timeout timeout);
  // No timeout: none.
  absl::StatusOr<v1::LifeState> ControlBoard(const v1::ControlBoardRequest& request,
                                             std::optional<Timeout> timeout);
  // Calls `receive` for each board until the stream ends, or `stop` asks for it, which is no error.
  absl::Status WatchBoard(double interval_seconds, std::stop_token stop,
                          const std::function<void(const v1::LifeBoard&)>& receive);

  // Calls `receive` for each message until the stream ends. No timeout: none. A stream that follows
  // and ends by the timeout is no error.
  absl::Status StreamFlows(const v1::StreamFlowsRequest& request, std::optional<Timeout> timeout,
                           const std::function<void(const v1::StreamFlowsResponse&)>& receive);

 private:
  struct State;
  absl::Status CheckSocket() const;
  absl::Status Connect();

  const std::string socket_path_;
  std::unique_ptr<State> state_;  // null before the first connection
};

}  // namespace bonsai::cli
