// SPDX-License-Identifier: Apache-2.0
#include "agent/report/explain_service.h"

#include "agent/base/status.h"
#include "agent/report/explain_to_proto.h"
#include "agent/report/summary.h"

namespace bonsai::report {
namespace {

class Turn {
 public:
  explicit Turn(std::atomic<int>& running) : running_(running), number_(++running) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { --running_; }
  bool granted() const { return number_ <= ExplainService::kMostAtOnce; }

 private:
  std::atomic<int>& running_;
  const int number_;
};

double JitBytesPerInstruction(const Snapshot& snapshot) {
  uint64_t jited = 0, translated = 0;
  for (const auto& [name, program] : snapshot.programs) {
    jited += program.jited_bytes;
    translated += program.translated_insns;
  }
  if (translated == 0) return plan::kJitBytesPerInstruction;
  return static_cast<double>(jited) / static_cast<double>(translated);
}

void SetState(bool exists, v1::ExplainThing& thing) {
  thing.set_kept_for_verifier(exists && thing.state() != v1::LOAD_STATE_LOADED);
  thing.set_state(exists ? v1::LOAD_STATE_LOADED : v1::LOAD_STATE_PRUNED);
}

void OverlayMap(const Snapshot& snapshot, const std::string& name, v1::ExplainThing& thing) {
  SetState(snapshot.maps.contains(name), thing);
  const plan::MapPlan* map = snapshot.plan->FindMap(name);
  if (map == nullptr) return;
  thing.set_reason(map->reason);
  thing.set_bytes(BytesOf(*map, snapshot));
}

// `name`: "name", or "object/name" where several objects have it.
void OverlayProgram(const Snapshot& snapshot, const std::string& name, v1::ExplainThing& thing) {
  for (const plan::ProgramPlan& program : snapshot.plan->programs) {
    const std::string full = program.object + "/" + program.name;
    if (program.name != name && full != name) continue;
    const auto loaded = snapshot.programs.find(full);
    SetState(loaded != snapshot.programs.end(), thing);
    thing.set_reason(program.reason);
    if (loaded != snapshot.programs.end()) thing.set_bytes(loaded->second.jited_bytes);
    return;
  }
}

// What exists in the kernel may be more than the plan asks for.
void Overlay(const Snapshot& snapshot, v1::ExplainResponse& response) {
  if (!response.has_thing() || snapshot.plan == nullptr) return;
  v1::ExplainThing& thing = *response.mutable_thing();
  if (response.kind() == v1::EXPLAIN_KIND_MAP) OverlayMap(snapshot, response.name(), thing);
  if (response.kind() == v1::EXPLAIN_KIND_PROGRAM) OverlayProgram(snapshot, response.name(), thing);
}

}  // namespace

absl::StatusOr<v1::ExplainResponse> ExplainService::Answer(const v1::ExplainRequest& request,
                                                           const Snapshot& snapshot,
                                                           const plan::Cancelled& cancelled) {
  if (snapshot.inputs == nullptr || snapshot.settings == nullptr) {
    return base::FailedPrecondition(
        "explaining: no configuration is in force yet; see agentctl status");
  }
  const Turn turn(running_);
  if (!turn.granted()) {
    return base::MakeStatus(absl::StatusCode::kResourceExhausted,
                            "explaining: {} explanations are being worked out already; try again",
                            kMostAtOnce);
  }
  const auto end = std::chrono::steady_clock::now() + kLongest;
  bool late = false;
  const plan::Cancelled stop = [&] {
    late = std::chrono::steady_clock::now() >= end;
    return late || (cancelled && cancelled());
  };
  absl::StatusOr<v1::ExplainResponse> response =
      Explain(request, *snapshot.inputs, *snapshot.settings, stop, JitBytesPerInstruction(snapshot));
  if (late && absl::IsCancelled(response.status())) {
    return base::MakeStatus(absl::StatusCode::kDeadlineExceeded,
                            "explaining: not done after {} s", kLongest.count());
  }
  if (response.ok()) Overlay(snapshot, *response);
  return response;
}

}  // namespace bonsai::report
