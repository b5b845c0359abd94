// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/oracle.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "agent/base/status.h"

namespace bonsai::differential {
namespace {

using ObjectPtr = std::unique_ptr<bpf_object, decltype(&bpf_object__close)>;

int Silent(libbpf_print_level, const char*, va_list) { return 0; }

uint32_t SmallestSize(const bpf_map* map) {
  switch (bpf_map__type(map)) {
    case BPF_MAP_TYPE_RINGBUF: case BPF_MAP_TYPE_USER_RINGBUF: return 4096;
    case BPF_MAP_TYPE_PROG_ARRAY: case BPF_MAP_TYPE_ARRAY: case BPF_MAP_TYPE_PERCPU_ARRAY:
      return std::min<uint32_t>(bpf_map__max_entries(map), 64);
    default: return 2;
  }
}

// Takes each program as libbpf has relocated it, loads it in libbpf's stead with records of our
// own, and gives libbpf a trivial one to load: so all of an object's programs are loaded in one go,
// whether or not the kernel takes each.
class Interceptor {
 public:
  Interceptor(const object::ObjectSpec& object, bool log_visits) : log_visits_(log_visits) {
    for (const object::Program& program : object.programs) sections_.insert(program.section);
    for (const std::string& section : sections_) Register(section);
  }
  Interceptor(const Interceptor&) = delete;
  Interceptor& operator=(const Interceptor&) = delete;
  ~Interceptor() {
    for (const int id : handlers_) libbpf_unregister_prog_handler(id);
  }

  struct Taken {
    Image image;
    TailQuestions questions;
    Verdict verdict;
  };
  std::map<std::string, Taken> programs;
  absl::Status status;

 private:
  void Register(const std::string& section) {
    bpf_prog_type type{};
    bpf_attach_type attach{};
    if (libbpf_prog_type_by_name(section.c_str(), &type, &attach) != 0) return;
    LIBBPF_OPTS(libbpf_prog_handler_opts, options);
    options.cookie = reinterpret_cast<long>(this);
    options.prog_prepare_load_fn = [](bpf_program* program, bpf_prog_load_opts* opts, long cookie) {
      return reinterpret_cast<Interceptor*>(cookie)->Take(program, *opts);
    };
    const int id = libbpf_register_prog_handler(section.c_str(), type, attach, &options);
    if (id >= 0) handlers_.push_back(id);
  }

  int Take(bpf_program* program, bpf_prog_load_opts& options) {
    Taken taken;
    taken.image.name = bpf_program__name(program);
    taken.image.type = bpf_program__type(program);
    taken.image.attach = options.expected_attach_type;
    taken.image.btf_fd = static_cast<int>(options.prog_btf_fd);
    const bpf_insn* insns = bpf_program__insns(program);
    taken.image.insns.assign(insns, insns + bpf_program__insn_cnt(program));
    const auto* records = static_cast<const char*>(options.func_info);
    for (uint32_t i = 0; i < options.func_info_cnt; ++i) {
      bpf_func_info info;
      std::memcpy(&info, records + size_t{i} * options.func_info_rec_size, sizeof(info));
      taken.image.functions.push_back(info);
    }
    taken.questions = AskOfTailCalls(taken.image.insns);
    taken.image.probes = taken.questions.probes;
    auto verdict = Load(taken.image, log_visits_);
    if (!verdict.ok()) {
      status = verdict.status();
      return -EINVAL;
    }
    taken.verdict = *std::move(verdict);
    programs.insert_or_assign(taken.image.name, std::move(taken));
    return Replace(program, options);
  }

  static int Replace(bpf_program* program, bpf_prog_load_opts& options) {
    bpf_insn trivial[2] = {};
    trivial[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
    trivial[1].code = BPF_JMP | BPF_EXIT;
    options.func_info = options.line_info = nullptr;
    options.func_info_cnt = options.line_info_cnt = 0;
    if (bpf_program__type(program) == BPF_PROG_TYPE_SYSCALL) options.prog_flags = BPF_F_SLEEPABLE;
    return bpf_program__set_insns(program, trivial, 2);
  }

  const bool log_visits_;
  std::set<std::string> sections_;
  std::vector<int> handlers_;
};

absl::Status Prepare(bpf_object* loaded, const object::ObjectSpec& object,
                     const constants::ConstantSet& constants, const LoadOptions& options) {
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
    if (options.cut_maps.contains(spec.name)) bpf_map__set_autocreate(map, false);
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, loaded) {
    bpf_program__set_autoload(program,
                              !options.cut_programs.contains(bpf_program__name(program)));
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

// Where each function of the image stands in the spec, by name: libbpf puts them into the program
// as they stand in the ELF.
absl::Status AddCode(const object::ObjectSpec& object, const btf* types,
                     const Interceptor::Taken& taken, KeptProgram& kept) {
  const std::vector<bpf_func_info>& functions = taken.image.functions;
  const std::vector<bool>& visited = taken.verdict.visited;
  for (size_t i = 0; i < functions.size(); ++i) {
    const btf_type* type = btf__type_by_id(types, functions[i].type_id);
    const std::string name = type ? btf__name_by_offset(types, type->name_off) : "";
    const auto found = std::find_if(object.functions.begin(), object.functions.end(),
                                    [&](const auto& function) { return function.name == name; });
    const size_t first = functions[i].insn_off;
    const size_t end = i + 1 < functions.size() ? functions[i + 1].insn_off
                                                : taken.image.insns.size();
    if (found == object.functions.end() || found->insns.size() != end - first) {
      return base::Internal("program {}: function {} is not as in the ELF", taken.image.name, name);
    }
    const auto index = static_cast<uint32_t>(found - object.functions.begin());
    const auto from = static_cast<ptrdiff_t>(first), to = static_cast<ptrdiff_t>(end);
    const std::vector<Fate>& fates = taken.verdict.fates;
    kept.code[index] = {fates.begin() + from, fates.begin() + to};
    kept.visited[index] = {visited.begin() + from, visited.begin() + to};
  }
  return absl::OkStatus();
}

}  // namespace

std::string ReasonOf(const std::string& log) {
  size_t end = log.rfind("\nprocessed ");
  if (end == std::string::npos) end = log.find_last_not_of('\n') + 1;
  const size_t start = end == 0 ? std::string::npos : log.rfind('\n', end - 1);
  return start == std::string::npos ? log.substr(0, end) : log.substr(start + 1, end - start - 1);
}

absl::StatusOr<std::map<std::string, KeptProgram>> LoadAndRead(
    const object::ObjectSpec& object, const constants::ConstantSet& constants,
    const LoadOptions& options) {
  libbpf_set_print(Silent);
  Interceptor interceptor(object, options.log_visits);
  ObjectPtr loaded(bpf_object__open_file(object.path.c_str(), nullptr), bpf_object__close);
  if (!loaded) return base::ErrnoStatus(errno, "opening " + object.path);
  RETURN_IF_ERROR(Prepare(loaded.get(), object, constants, options));
  const int error = bpf_object__load(loaded.get());
  RETURN_IF_ERROR(interceptor.status);
  if (error != 0) {
    return base::FailedPrecondition("loading {}: {}", object.path, std::strerror(-error));
  }
  const auto names = MapNamesById(loaded.get());
  std::map<std::string, KeptProgram> programs;
  for (auto& [name, taken] : interceptor.programs) {
    KeptProgram& kept = programs[name];
    kept.loaded = taken.verdict.loaded();
    kept.log = std::move(taken.verdict.log);
    if (!kept.loaded) continue;
    kept.references = ReferencesOf(taken.verdict, taken.questions, names);
    RETURN_IF_ERROR(AddCode(object, bpf_object__btf(loaded.get()), taken, kept));
  }
  return programs;
}

}  // namespace bonsai::differential
