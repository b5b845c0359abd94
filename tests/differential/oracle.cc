// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/oracle.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <cstring>
#include <memory>

#include "agent/base/status.h"

namespace bonsai::differential {
namespace {

using ObjectPtr = std::unique_ptr<bpf_object, decltype(&bpf_object__close)>;

constexpr size_t kLogBytes = 1 << 20;
constexpr uint8_t kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;

int Silent(libbpf_print_level, const char*, va_list) { return 0; }

uint32_t SmallestSize(const bpf_map* map) {
  switch (bpf_map__type(map)) {
    case BPF_MAP_TYPE_RINGBUF: case BPF_MAP_TYPE_USER_RINGBUF: return 4096;
    case BPF_MAP_TYPE_PROG_ARRAY: case BPF_MAP_TYPE_ARRAY: case BPF_MAP_TYPE_PERCPU_ARRAY:
      return bpf_map__max_entries(map) < 64 ? bpf_map__max_entries(map) : 64;
    default: return 2;
  }
}

absl::Status Prepare(bpf_object* loaded, const object::ObjectSpec& object,
                     const constants::ConstantSet& constants, const Cut& cut) {
  for (const auto& [index, bytes] : constants.sections) {
    bpf_map* map = bpf_object__find_map_by_name(loaded, object.data_sections[index].name.c_str());
    if (map == nullptr || bpf_map__set_initial_value(map, bytes.data(), bytes.size()) != 0) {
      return base::Internal("setting section {}: libbpf refuses", object.data_sections[index].name);
    }
  }
  for (const object::Map& spec : object.maps) {
    bpf_map* map = bpf_object__find_map_by_name(loaded, spec.name.c_str());
    if (map == nullptr) return base::Internal("finding map {}: libbpf has none", spec.name);
    bpf_map__set_max_entries(map, SmallestSize(map));
    if (cut.maps.contains(spec.name)) bpf_map__set_autocreate(map, false);
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, loaded) {
    bpf_program__set_autoload(program, !cut.programs.contains(bpf_program__name(program)));
    bpf_program__set_log_level(program, 1);
  }
  return absl::OkStatus();
}

std::map<uint32_t, std::string> MapNamesById(bpf_object* loaded) {
  std::map<uint32_t, std::string> names;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, loaded) {
    bpf_map_info info{};
    uint32_t size = sizeof(info);
    const int fd = bpf_map__fd(map);
    if (fd >= 0 && bpf_map_get_info_by_fd(fd, &info, &size) == 0) {
      names[info.id] = bpf_map__name(map);
    }
  }
  return names;
}

absl::StatusOr<std::vector<bpf_insn>> Translated(int fd) {
  bpf_prog_info info{};
  uint32_t size = sizeof(info);
  if (bpf_prog_get_info_by_fd(fd, &info, &size) != 0) {
    return base::ErrnoStatus(errno, "reading program info");
  }
  std::vector<bpf_insn> insns(info.xlated_prog_len / sizeof(bpf_insn));
  info = {};
  info.xlated_prog_len = static_cast<uint32_t>(insns.size() * sizeof(bpf_insn));
  info.xlated_prog_insns = reinterpret_cast<uintptr_t>(insns.data());
  size = sizeof(info);
  if (bpf_prog_get_info_by_fd(fd, &info, &size) != 0 || info.xlated_prog_insns == 0) {
    return base::ErrnoStatus(errno, "reading translated instructions");
  }
  return insns;
}

bool IsTailCall(const bpf_insn& insn) {
  return insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == 0 && insn.imm == BPF_FUNC_tail_call;
}

const std::string* MapOf(const bpf_insn& insn, const std::map<uint32_t, std::string>& names) {
  if (insn.code != kLoadImm64 || insn.src_reg != BPF_PSEUDO_MAP_FD) return nullptr;
  const auto found = names.find(static_cast<uint32_t>(insn.imm));
  return found == names.end() ? nullptr : &found->second;
}

// For each instruction those that may run right before it.
std::vector<std::vector<size_t>> Predecessors(const std::vector<bpf_insn>& insns) {
  std::vector<std::vector<size_t>> before(insns.size());
  const auto edge = [&](size_t from, int64_t to) {
    if (to >= 0 && to < static_cast<int64_t>(insns.size())) before[to].push_back(from);
  };
  for (size_t i = 0; i < insns.size(); ++i) {
    const bpf_insn& insn = insns[i];
    const auto next = static_cast<int64_t>(i) + 1;
    const uint8_t kind = BPF_CLASS(insn.code), op = BPF_OP(insn.code);
    const bool jump = kind == BPF_JMP || kind == BPF_JMP32;
    if (jump && op == BPF_EXIT) continue;
    if (jump && op != BPF_CALL) {
      edge(i, next + (insn.code == (BPF_JMP32 | BPF_JA) ? insn.imm : insn.off));
      if (op == BPF_JA) continue;
    }
    edge(i, insn.code == kLoadImm64 ? next + 1 : next);
  }
  return before;
}

// Where what `reg` holds before `at` may have been made, through moves between registers.
std::set<size_t> LastWrites(const std::vector<bpf_insn>& insns,
                            const std::vector<std::vector<size_t>>& before, size_t at, int reg) {
  std::set<size_t> writes;
  std::set<std::pair<size_t, int>> seen;
  std::vector<std::pair<size_t, int>> left{{at, reg}};
  while (!left.empty()) {
    const auto [i, wanted] = left.back();
    left.pop_back();
    for (const size_t previous : before[i]) {
      const bpf_insn& insn = insns[previous];
      const uint8_t kind = BPF_CLASS(insn.code);
      const bool call = kind == BPF_JMP && BPF_OP(insn.code) == BPF_CALL && wanted <= BPF_REG_5;
      const bool other = kind == BPF_ST || kind == BPF_STX || kind == BPF_JMP || kind == BPF_JMP32;
      int next = wanted;
      if (call || (!other && insn.dst_reg == wanted)) {
        if (insn.code != (BPF_ALU64 | BPF_MOV | BPF_X)) {
          writes.insert(previous);
          continue;
        }
        next = insn.src_reg;
      }
      if (seen.emplace(previous, next).second) left.emplace_back(previous, next);
    }
  }
  return writes;
}

// Maps and slots of the tail call at `at`; nothing when some of them is not a constant.
std::optional<std::set<std::pair<std::string, uint32_t>>> TailCallsAt(
    const std::vector<bpf_insn>& insns, const std::vector<std::vector<size_t>>& before, size_t at,
    const std::map<uint32_t, std::string>& names) {
  const std::set<size_t> maps = LastWrites(insns, before, at, BPF_REG_2);
  std::set<std::pair<std::string, uint32_t>> calls;
  for (const size_t slot : LastWrites(insns, before, at, BPF_REG_3)) {
    const uint8_t kind = BPF_CLASS(insns[slot].code);
    const bool move = (kind == BPF_ALU || kind == BPF_ALU64) &&
                      BPF_OP(insns[slot].code) == BPF_MOV && BPF_SRC(insns[slot].code) == BPF_K;
    for (const size_t map : maps) {
      const std::string* name = MapOf(insns[map], names);
      if (!move || name == nullptr) return std::nullopt;
      calls.emplace(*name, static_cast<uint32_t>(insns[slot].imm));
    }
  }
  return calls;
}

KeptProgram Kept(const std::vector<bpf_insn>& insns,
                 const std::map<uint32_t, std::string>& names) {
  KeptProgram kept;
  const auto before = Predecessors(insns);
  for (size_t i = 0; i < insns.size(); ++i) {
    if (const std::string* map = MapOf(insns[i], names)) kept.maps.insert(*map);
    if (!IsTailCall(insns[i])) continue;
    if (const auto calls = TailCallsAt(insns, before, i, names)) {
      kept.tail_calls.insert(calls->begin(), calls->end());
    } else {
      kept.unknown_tail_call = true;
    }
  }
  return kept;
}

std::string End(const std::string& log) {
  return log.size() > 2000 ? log.substr(log.size() - 2000) : log;
}

}  // namespace

absl::StatusOr<std::map<std::string, KeptProgram>> LoadAndRead(
    const object::ObjectSpec& object, const constants::ConstantSet& constants, const Cut& cut) {
  libbpf_set_print(Silent);
  std::string log(kLogBytes, '\0');
  LIBBPF_OPTS(bpf_object_open_opts, options);
  options.kernel_log_buf = log.data();
  options.kernel_log_size = log.size();
  ObjectPtr loaded(bpf_object__open_file(object.path.c_str(), &options), bpf_object__close);
  if (!loaded) return base::ErrnoStatus(errno, "opening " + object.path);
  RETURN_IF_ERROR(Prepare(loaded.get(), object, constants, cut));
  if (const int error = bpf_object__load(loaded.get()); error != 0) {
    return base::FailedPrecondition("loading {}: {}\n{}", object.path, std::strerror(-error),
                                    End(log.c_str()));
  }
  const auto names = MapNamesById(loaded.get());
  std::map<std::string, KeptProgram> kept;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, loaded.get()) {
    if (!bpf_program__autoload(program)) continue;
    ASSIGN_OR_RETURN(const auto insns, Translated(bpf_program__fd(program)));
    kept[bpf_program__name(program)] = Kept(insns, names);
  }
  return kept;
}

}  // namespace bonsai::differential
