// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <set>
#include <utility>

#include "agent/base/status.h"
#include "agent/kernel/bpf_object.h"
#include "agent/load/carry.h"
#include "agent/load/image.h"
#include "agent/load/layouts.h"
#include "agent/load/loaded.h"

namespace bonsai::load {

const kernel::BpfMap* Loaded::FindMap(const std::string& name) const {
  auto at = maps_.find(name);
  return at != maps_.end() ? &at->second.map : nullptr;
}

int Loaded::ProgramFd(const std::string& object, const std::string& name) const {
  auto at = programs_.find(object + "/" + name);
  return at != programs_.end() ? at->second.fd.get() : -1;
}

ExistingMaps Loaded::Shareable() const {
  ExistingMaps shareable;
  for (const auto& [name, loaded] : maps_) {
    if (loaded.shared) shareable[name] = &loaded.map;
  }
  return shareable;
}

absl::Status Loaded::Commit() {
  // The earlier generation's tail-call arrays lose their pins here, and soon after their last
  // descriptor: a packet still inside its programs would miss its tail call.
  kernel::WaitForRunningPrograms();
  return pins_ != nullptr ? pins_->Commit() : absl::OkStatus();
}

void Loaded::KeepStagedPins() {
  if (pins_ != nullptr) pins_->Keep();
}

namespace {

using Clock = std::chrono::steady_clock;

// Whether the entries of `map` are entries of what the plan wants.
bool IsAlike(const kernel::MapInfo& map, const plan::MapPlan& plan) {
  return map.type == plan.type && map.key_size == plan.key_size &&
         map.value_size == plan.value_size;
}

// Whether `map` can stand in for what the plan wants.
bool Fits(const kernel::MapInfo& map, const plan::MapPlan& plan) {
  return IsAlike(map, plan) && map.map_flags == plan.map_flags &&
         map.max_entries == plan.max_entries;
}

}  // namespace

// Builds a Loaded step by step; what it made goes with it when a step fails.
class Loader {
 public:
  Loader(const plan::LoadPlan& plan, const ExistingMaps& existing, const Options& options)
      : plan_(plan), existing_(existing), options_(options) {}

  absl::StatusOr<Loaded> Run() {
    for (const plan::ObjectPlan& object : plan_.objects) {
      if (object.needed) RETURN_IF_ERROR(LoadObject(object));
    }
    RETURN_IF_ERROR(FillTailArrays());
    RETURN_IF_ERROR(CarryContents());
    RETURN_IF_ERROR(ConvertContents());
    RETURN_IF_ERROR(MeasureMaps());
    RETURN_IF_ERROR(StagePins());
    return std::move(loaded_);
  }

 private:
  // Loads one object, if need be again with what the verifier turned out to want.
  absl::Status LoadObject(const plan::ObjectPlan& object) {
    Clock::time_point start = Clock::now();
    Ladder ladder(object);
    while (true) {
      absl::StatusOr<kernel::BpfObject> prepared = Prepare(object, ladder);
      RETURN_IF_ERROR_AT(prepared.status(), "prepare object", object.name);
      kernel::BpfObject opened = *std::move(prepared);
      absl::Status status = opened.Load();
      if (status.ok()) {
        RETURN_IF_ERROR(Collect(object, ladder.skip_maps(), opened));
        loaded_.load_ns_[object.name] =
            std::chrono::nanoseconds(Clock::now() - start).count();
        return absl::OkStatus();
      }
      std::optional<Retry> retry = ladder.Climb(status);
      if (!retry) {
        return ladder.steps() == 0
                   ? status
                   : base::Annotate(status, fmt::format("after {} retries", ladder.steps()));
      }
      loaded_.retries_.push_back(*std::move(retry));
    }
  }

  // The object with its dead calls of neutralised functions cut.
  absl::StatusOr<kernel::BpfObject> Open(const plan::ObjectPlan& object, const Ladder& ladder) {
    if (ladder.neutralised().empty()) return kernel::BpfObject::Open(object.name, object.path);
    ASSIGN_OR_RETURN(Image image, ReadImage(object.name, object.path));
    for (uint32_t function : ladder.neutralised()) {
      RETURN_IF_ERROR(CutCalls(object.path, object.neutralised[function].calls, function, image));
    }
    return kernel::BpfObject::OpenBytes(object.name, image);
  }

  absl::StatusOr<kernel::BpfObject> Prepare(const plan::ObjectPlan& object,
                                            const Ladder& ladder) {
    ASSIGN_OR_RETURN(kernel::BpfObject opened, Open(object, ladder));
    for (const auto& [section, bytes] : object.sections) {
      RETURN_IF_ERROR(opened.SetSectionBytes(section, bytes));
    }
    for (const std::string& map : ladder.skip_maps()) {
      RETURN_IF_ERROR(opened.SetAutocreate(map, false));
    }
    for (const std::string& program : object.skip_programs) {
      RETURN_IF_ERROR(opened.SetAutoload(program, false));
    }
    for (const auto& [name, index] : object.maps) {
      if (ladder.skip_maps().contains(name)) continue;
      RETURN_IF_ERROR(PrepareMap(plan_.maps[index], opened));
    }
    return opened;
  }

  absl::Status PrepareMap(const plan::MapPlan& map, kernel::BpfObject& opened) {
    auto made = loaded_.maps_.find(map.name);
    if (made == loaded_.maps_.end() && map.shared()) {
      auto existing = existing_.find(map.name);
      if (existing != existing_.end() && Fits(existing->second->info(), map)) {
        ASSIGN_OR_RETURN(kernel::BpfMap copy, existing->second->Duplicate());
        made = loaded_.maps_.emplace(map.name, LoadedMap{.map = std::move(copy),
                                                        .reused = true,
                                                        .shared = true})
                   .first;
      }
    }
    if (made != loaded_.maps_.end()) return opened.ReuseMap(map.name, made->second.map.fd());
    return opened.SetMaxEntries(map.name, map.max_entries);
  }

  // Takes over descriptors of what was loaded; libbpf's own go with `opened`.
  absl::Status Collect(const plan::ObjectPlan& object, const std::set<std::string>& skip,
                       const kernel::BpfObject& opened) {
    for (const auto& [name, index] : object.maps) {
      if (skip.contains(name) || loaded_.maps_.contains(name)) continue;
      RETURN_IF_ERROR_AT(CollectMap(plan_.maps[index], opened.MapFd(name)), "inspect map", name);
    }
    for (const plan::MapPlan& map : plan_.maps) {
      if (map.object != object.name || map.data_section.empty()) continue;
      if (skip.contains(map.data_section)) continue;
      RETURN_IF_ERROR_AT(CollectMap(map, opened.MapFd(map.data_section)), "inspect map", map.name);
    }
    for (const plan::ProgramPlan& program : plan_.programs) {
      if (program.object != object.name || !program.load) continue;
      RETURN_IF_ERROR_AT(CollectProgram(program, opened.ProgramFd(program.name)),
                         "inspect program", program.object + "/" + program.name);
    }
    return absl::OkStatus();
  }

  absl::Status CollectMap(const plan::MapPlan& plan, int fd) {
    if (fd < 0) return base::Internal("loading map {}: it was not created", plan.name);
    absl::StatusOr<kernel::BpfMap> map = kernel::BpfMap::Borrow(fd);
    if (!map.ok()) return base::Annotate(map.status(), "loading map " + plan.name);
    loaded_.maps_.emplace(plan.name,
                          LoadedMap{.map = *std::move(map),
                                    .shared = plan.shared(),
                                    .replaces = plan.shared() && existing_.contains(plan.name)});
    return absl::OkStatus();
  }

  absl::Status CollectProgram(const plan::ProgramPlan& plan, int fd) {
    LoadedProgram program{.object = plan.object, .name = plan.name, .is_tail = plan.is_tail};
    if (fd < 0) return base::Internal("loading program {}: it was not loaded", plan.name);
    ASSIGN_OR_RETURN(program.fd, kernel::DuplicateProgram(fd));
    absl::StatusOr<kernel::ProgramInfo> info = kernel::GetProgramInfo(fd);
    if (!info.ok()) return base::Annotate(info.status(), "loading program " + plan.name);
    program.info = *std::move(info);
    ASSIGN_OR_RETURN(program.memory_bytes, kernel::ProgramMemoryBytes(fd));
    loaded_.programs_.emplace(plan.object + "/" + plan.name, std::move(program));
    return absl::OkStatus();
  }

  absl::Status FillTailArrays() {
    for (const plan::ProgramPlan& program : plan_.programs) {
      if (!program.load || !program.is_tail) continue;
      auto map = loaded_.maps_.find(program.tail_map);
      if (map == loaded_.maps_.end()) continue;
      int fd = loaded_.ProgramFd(program.object, program.name);
      absl::Status status = map->second.map.Update(&program.tail_slot, &fd);
      const std::string what = fmt::format("filling slot {} of {} with program {}",
                                           program.tail_slot, program.tail_map, program.name);
      RETURN_IF_ERROR_AT(base::Annotate(status, what), "fill tail calls", program.tail_map);
    }
    return absl::OkStatus();
  }

  absl::Status CarryContents() {
    for (auto& [name, loaded] : loaded_.maps_) {
      if (!loaded.replaces || !CanCarry(loaded.map.info().type)) continue;
      const kernel::BpfMap& earlier = *existing_.at(name);
      const plan::MapPlan& planned = *plan_.FindMap(name);
      if (planned.resized_empty || !IsAlike(earlier.info(), planned)) continue;
      RETURN_IF_ERROR(CarryEntries(earlier, loaded.map).status());
      loaded.carried = true;
    }
    return absl::OkStatus();
  }

  absl::Status ConvertContents() {
    for (const auto& [name, conversion] : options_.conversions) {
      auto made = loaded_.maps_.find(name);
      if (made == loaded_.maps_.end() || made->second.reused) continue;
      RETURN_IF_ERROR(
          ConvertEntries(*conversion.from, conversion.convert, made->second.map).status());
      made->second.carried = true;
    }
    return absl::OkStatus();
  }

  absl::Status MeasureMaps() {
    for (auto& [name, loaded] : loaded_.maps_) {
      if (options_.memory_measurable) {
        absl::StatusOr<uint64_t> bytes = loaded.map.MemoryBytes();
        RETURN_IF_ERROR_AT(bytes.status(), "measure map", name);
        loaded.bytes = *bytes;
      } else {
        loaded.bytes = plan_.FindMap(name)->bytes;
      }
    }
    return absl::OkStatus();
  }

  // Data sections are not pinned: their programs hold them, and nothing shares them.
  absl::Status StagePins() {
    if (options_.root.empty()) return absl::OkStatus();
    absl::StatusOr<std::unique_ptr<StagedPins>> pins = StagedPins::Make(options_.root);
    RETURN_IF_ERROR_AT(pins.status(), "make pin directory", options_.root);
    loaded_.pins_ = *std::move(pins);
    for (const auto& [name, loaded] : loaded_.maps_) {
      const plan::MapPlan& planned = *plan_.FindMap(name);
      if (!planned.data_section.empty()) continue;
      const Layout layout{planned.layout_version, planned.layout_hash};
      RETURN_IF_ERROR_AT(loaded_.pins_->Add(loaded.map, name, layout), "pin map", name);
    }
    return absl::OkStatus();
  }

  const plan::LoadPlan& plan_;
  const ExistingMaps& existing_;
  const Options& options_;
  Loaded loaded_;
};

absl::StatusOr<Loaded> Execute(const plan::LoadPlan& plan, const ExistingMaps& existing,
                               const Options& options) {
  return Loader(plan, existing, options).Run();
}

}  // namespace bonsai::load
