// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/load_ways.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <optional>
#include <set>

#include "agent/base/status.h"
#include "agent/kernel/bpf_map.h"
#include "agent/kernel/bpf_object.h"
#include "agent/load/loaded.h"
#include "agent/reachability/liveness.h"

namespace bonsai::bench {
namespace {

double Cpu() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double Wall() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Entries of a map: as configured, or as few as its type allows.
uint32_t Entries(const object::Map& map, const settings::Settings& settings, bool tiny) {
  const bool fixed = map.type == BPF_MAP_TYPE_PROG_ARRAY || map.type == BPF_MAP_TYPE_PERCPU_ARRAY ||
                     map.type == BPF_MAP_TYPE_ARRAY;
  if (tiny && !fixed) return map.type == BPF_MAP_TYPE_RINGBUF ? 4096 : 1;
  return map.sized_by.empty() ? map.max_entries
                              : static_cast<uint32_t>(settings.Uint(map.sized_by));
}

// Objects loaded one after the other, their maps shared by name.
class Plain {
 public:
  Plain(const settings::Settings& settings, bool tiny) : settings_(settings), tiny_(tiny) {}

  // `skip`: maps that are not created.
  absl::Status Load(const object::ObjectSpec& spec, const constants::ConstantSet& constants,
                    const std::set<std::string>& skip) {
    ASSIGN_OR_RETURN(kernel::BpfObject object, kernel::BpfObject::Open(spec.name, spec.path));
    for (const auto& [index, bytes] : constants.sections) {
      RETURN_IF_ERROR(object.SetSectionBytes(spec.data_sections[index].name, bytes));
    }
    for (const object::Map& map : spec.maps) {
      const auto made = maps_.find(map.name);
      if (skip.contains(map.name)) {
        RETURN_IF_ERROR(object.SetAutocreate(map.name, false));
      } else if (made != maps_.end()) {
        RETURN_IF_ERROR(object.ReuseMap(map.name, made->second.fd()));
      } else {
        RETURN_IF_ERROR(object.SetMaxEntries(map.name, Entries(map, settings_, tiny_)));
      }
    }
    RETURN_IF_ERROR(object.Load());
    for (const object::Map& map : spec.maps) {
      if (skip.contains(map.name) || maps_.contains(map.name)) continue;
      ASSIGN_OR_RETURN(kernel::BpfMap shared, kernel::BpfMap::Borrow(object.MapFd(map.name)));
      maps_.emplace(map.name, std::move(shared));
    }
    objects_.push_back(std::move(object));
    return absl::OkStatus();
  }

  // Names of the maps that instructions of some program still refer to, as the kernel tells.
  absl::StatusOr<std::set<std::string>> Kept() const {
    std::map<uint32_t, std::string> names;
    for (const auto& [name, map] : maps_) names[map.info().id] = name;
    std::set<std::string> kept;
    for (const kernel::BpfObject& object : objects_) {
      for (const std::string& program : object.ProgramNames()) {
        RETURN_IF_ERROR(ReadBack(object.ProgramFd(program), names, kept));
      }
    }
    return kept;
  }

  size_t maps() const { return maps_.size(); }

 private:
  static absl::Status ReadBack(int fd, const std::map<uint32_t, std::string>& names,
                               std::set<std::string>& kept) {
    bpf_prog_info info{};
    uint32_t size = sizeof(info);
    if (bpf_prog_get_info_by_fd(fd, &info, &size) != 0) return base::ErrnoStatus(errno, "reading");
    std::vector<bpf_insn> code(info.xlated_prog_len / sizeof(bpf_insn));
    bpf_prog_info wanted{};
    wanted.xlated_prog_insns = reinterpret_cast<uintptr_t>(code.data());
    wanted.xlated_prog_len = info.xlated_prog_len;
    if (bpf_prog_get_info_by_fd(fd, &wanted, &size) != 0) {
      return base::ErrnoStatus(errno, "reading instructions back");
    }
    for (const bpf_insn& insn : code) {
      if (insn.code != (BPF_LD | BPF_IMM | BPF_DW) || insn.src_reg != BPF_PSEUDO_MAP_FD) continue;
      const auto name = names.find(static_cast<uint32_t>(insn.imm));
      if (name != names.end()) kept.insert(name->second);
    }
    return absl::OkStatus();
  }

  const settings::Settings& settings_;
  const bool tiny_;
  std::vector<kernel::BpfObject> objects_;
  std::map<std::string, kernel::BpfMap> maps_;
};

}  // namespace

std::vector<Row> Rows() {
  return {{"minimal",
           {{"enable-ipv6", "false"}, {"enable-conntrack", "false"},
            {"enable-datapath-metrics", "false"}}},
          {"defaults", {}},
          {"everything on",
           {{"enable-prefilter", "true"}, {"enable-policy", "true"},
            {"enable-load-balancer", "true"}, {"enable-flow-events", "true"}}}};
}

absl::StatusOr<Loading> Loading::Make() {
  Loading loading;
  for (const char* name : {"xdp", "from_pod", "to_pod", "from_netdev"}) {
    ASSIGN_OR_RETURN(object::ObjectSpec spec,
                     object::Read(fmt::format("{}/{}.bpf.o", BONSAI_BPF_DIR, name)));
    loading.objects_.push_back(std::move(spec));
  }
  ASSIGN_OR_RETURN(auto specs, object::SettingSpecs(loading.objects_));
  const auto& own = settings::AgentSettings();
  specs.insert(specs.end(), own.begin(), own.end());
  ASSIGN_OR_RETURN(loading.schema_, settings::Schema::Make(std::move(specs)));
  ASSIGN_OR_RETURN(loading.facts_.possible_cpus, kernel::PossibleCpus());
  loading.facts_.page_size = static_cast<uint32_t>(sysconf(_SC_PAGESIZE));
  return loading;
}

absl::StatusOr<Loading::Prepared> Loading::Prepare(const settings::RawSettings& raw) const {
  ASSIGN_OR_RETURN(settings::Settings settings, settings::Parse(schema_, raw));
  Prepared prepared{.settings = std::move(settings)};
  for (const object::ObjectSpec& spec : objects_) {
    ASSIGN_OR_RETURN(auto set, constants::Resolve(prepared.settings, {{"kernel_hz", 250}}, spec));
    prepared.constants.push_back(std::move(set));
  }
  return prepared;
}

absl::Status Loading::Pruned(const Prepared& prepared, Cost& cost) const {
  const double start = Cpu();
  std::vector<plan::AnalyzedObject> analyzed;
  for (size_t i = 0; i < objects_.size(); ++i) {
    ASSIGN_OR_RETURN(auto liveness, reachability::Analyze(objects_[i], prepared.constants[i]));
    analyzed.push_back({&objects_[i], prepared.constants[i], std::move(liveness)});
  }
  ASSIGN_OR_RETURN(plan::LoadPlan plan, plan::Make(analyzed, prepared.settings, facts_));
  cost.analysis = Cpu() - start;
  ASSIGN_OR_RETURN(load::Loaded loaded, load::Execute(plan, {}, {}));
  cost.maps = loaded.maps().size();
  return loaded.retries().empty() ? absl::OkStatus()
                                  : base::Internal("loading: {}", ToString(loaded.retries()[0]));
}

absl::StatusOr<Cost> Loading::Measure(const settings::RawSettings& raw, Way way) const {
  ASSIGN_OR_RETURN(const Prepared prepared, Prepare(raw));
  Cost cost;
  const double cpu = Cpu(), wall = Wall();
  if (way == Way::kPruned) {
    RETURN_IF_ERROR(Pruned(prepared, cost));
  } else {
    std::set<std::string> skip;
    if (way == Way::kTwice) {
      Plain trial(prepared.settings, /*tiny=*/true);
      for (size_t i = 0; i < objects_.size(); ++i) {
        RETURN_IF_ERROR(trial.Load(objects_[i], prepared.constants[i], {}));
      }
      ASSIGN_OR_RETURN(const std::set<std::string> kept, trial.Kept());
      for (const object::ObjectSpec& spec : objects_) {
        for (const object::Map& map : spec.maps) {
          if (!kept.contains(map.name)) skip.insert(map.name);
        }
      }
    }
    Plain real(prepared.settings, /*tiny=*/false);
    for (size_t i = 0; i < objects_.size(); ++i) {
      RETURN_IF_ERROR(real.Load(objects_[i], prepared.constants[i], skip));
    }
    cost.maps = real.maps();
  }
  cost.cpu = Cpu() - cpu;
  cost.wall = Wall() - wall;
  return cost;
}

}  // namespace bonsai::bench
