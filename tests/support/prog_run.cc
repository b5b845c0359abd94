// SPDX-License-Identifier: Apache-2.0
#include "tests/support/prog_run.h"

#include <bpf/btf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace bonsai::testing {
namespace {

constexpr size_t kLogBytes = 1 << 20;
constexpr uint32_t kSmallMap = 256;

// `tail:<map>/<slot>` of each program, from the decl tags on its function.
struct Slot {
  std::string map;
  uint32_t slot = 0;
};

std::map<std::string, Slot> ReadSlots(const btf* btf) {
  std::map<std::string, Slot> slots;
  for (uint32_t id = 1; id < btf__type_cnt(btf); ++id) {
    const btf_type* type = btf__type_by_id(btf, id);
    const std::string tag = btf__name_by_offset(btf, type->name_off);
    const size_t slash = tag.find('/');
    if (!btf_is_decl_tag(type) || tag.rfind("tail:", 0) != 0 || slash == std::string::npos)
      continue;
    const btf_type* function = btf__type_by_id(btf, type->type);
    slots[btf__name_by_offset(btf, function->name_off)] = {
        tag.substr(5, slash - 5), static_cast<uint32_t>(std::stoul(tag.substr(slash + 1)))};
  }
  return slots;
}

std::string Tail(const std::vector<char>& log) {
  const std::string text(log.data());
  return text.size() > 3000 ? text.substr(text.size() - 3000) : text;
}

std::string MapNameById(uint32_t id) {
  const int fd = bpf_map_get_fd_by_id(id);
  if (fd < 0) return "?";
  bpf_map_info info = {};
  uint32_t size = sizeof(info);
  bpf_map_get_info_by_fd(fd, &info, &size);
  close(fd);
  return info.name;
}

std::vector<bpf_insn> Instructions(int program_fd) {
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  bpf_prog_get_info_by_fd(program_fd, &info, &size);
  std::vector<bpf_insn> insns(info.xlated_prog_len / sizeof(bpf_insn));
  bpf_prog_info dump = {};
  dump.xlated_prog_len = info.xlated_prog_len;
  dump.xlated_prog_insns = reinterpret_cast<uintptr_t>(insns.data());
  size = sizeof(dump);
  bpf_prog_get_info_by_fd(program_fd, &dump, &size);
  return insns;
}

bool IsTailCall(const bpf_insn& insn) {
  constexpr uint8_t kInternal = BPF_JMP | 0xf0;  // what the kernel makes of the helper call
  return insn.code == kInternal || (insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == 0 &&
                                    insn.imm == BPF_FUNC_tail_call);
}

bool IsSlot(const bpf_insn& insn) {
  return insn.dst_reg == BPF_REG_3 &&
         (insn.code == (BPF_ALU64 | BPF_MOV | BPF_K) || insn.code == (BPF_ALU | BPF_MOV | BPF_K));
}

Live LiveOf(int program_fd, const std::map<std::string, Slot>& slots) {
  Live live;
  const bpf_insn* before = nullptr;
  const std::vector<bpf_insn> insns = Instructions(program_fd);
  for (const bpf_insn& insn : insns) {
    if (insn.code == (BPF_LD | BPF_IMM | BPF_DW) && insn.src_reg == BPF_PSEUDO_MAP_FD)
      live.maps.insert(MapNameById(insn.imm));
    if (IsTailCall(insn)) {
      std::string stage = "unknown slot";
      for (const auto& [name, slot] : slots) {
        if (IsSlot(*before) && slot.slot == static_cast<uint32_t>(before->imm)) stage = name;
      }
      live.calls.insert(stage);
    }
    before = &insn;
  }
  return live;
}

int Quiet(libbpf_print_level, const char*, va_list) { return 0; }

}  // namespace

struct Datapath::Object {
  struct Deleter {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
  };
  std::string name;
  std::unique_ptr<bpf_object, Deleter> bpf;
  std::map<std::string, Slot> slots;
  std::map<std::string, std::vector<char>> logs;
};

Datapath::Datapath(const DatapathConfig& config) {
  libbpf_set_print(Quiet);
  for (const std::string& name : config.objects) {
    if (error_.empty()) Open(name, config);
  }
  const auto events = maps_.find("events");
  if (!error_.empty() || events == maps_.end()) return;
  auto collect = [](void* self, void* data, size_t size) {
    EXPECT_EQ(size, sizeof(flow_event));
    flow_event event;
    std::memcpy(&event, data, sizeof(event));
    static_cast<Datapath*>(self)->events_.push_back(event);
    return 0;
  };
  ring_ = ring_buffer__new(events->second, collect, this, nullptr);
}

Datapath::~Datapath() {
  if (ring_ != nullptr) ring_buffer__free(ring_);
}

void Datapath::SetConstants(bpf_object* object, const DatapathConfig& config) {
  const btf* btf = bpf_object__btf(object);
  const int id = btf__find_by_name_kind(btf, ".rodata.config", BTF_KIND_DATASEC);
  bpf_map* map = bpf_object__find_map_by_name(object, ".rodata.config");
  if (id < 0 || map == nullptr) return;
  size_t size = 0;
  auto* bytes = static_cast<uint8_t*>(bpf_map__initial_value(map, &size));
  const btf_type* section = btf__type_by_id(btf, id);
  const btf_var_secinfo* vars = btf_var_secinfos(section);
  for (int i = 0; i < btf_vlen(section); ++i) {
    const btf_type* var = btf__type_by_id(btf, vars[i].type);
    const auto value = config.constants.find(btf__name_by_offset(btf, var->name_off));
    if (value != config.constants.end())
      std::memcpy(bytes + vars[i].offset, &value->second, vars[i].size);
  }
}

void Datapath::ShapeMaps(bpf_object* object, const DatapathConfig& config) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    const std::string name = bpf_map__name(map);
    if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF) {
      bpf_map__set_max_entries(map, 1 << 16);
    } else if (bpf_map__max_entries(map) > kSmallMap) {
      bpf_map__set_max_entries(map, kSmallMap);
    }
    const auto type = config.map_types.find(name);
    if (type != config.map_types.end()) bpf_map__set_type(map, type->second);
    const auto entries = config.map_entries.find(name);
    if (entries != config.map_entries.end()) bpf_map__set_max_entries(map, entries->second);
    const auto shared = maps_.find(name);
    if (shared != maps_.end()) bpf_map__reuse_fd(map, shared->second);
  }
}

void Datapath::Open(const std::string& name, const DatapathConfig& config) {
  auto object = std::make_unique<Object>();
  object->name = name;
  const std::string path = std::string(BONSAI_BPF_DIR) + "/" + name + ".bpf.o";
  object->bpf.reset(bpf_object__open_file(path.c_str(), nullptr));
  if (!object->bpf) {
    error_ = "opening " + path + ": " + std::strerror(errno);
    return;
  }
  bpf_object* bpf = object->bpf.get();
  object->slots = ReadSlots(bpf_object__btf(bpf));
  SetConstants(bpf, config);
  ShapeMaps(bpf, config);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, bpf) {
    const std::string program_name = bpf_program__name(program);
    auto& log = object->logs[program_name];
    log.resize(kLogBytes);
    bpf_program__set_log_buf(program, log.data(), log.size());
  }
  if (bpf_object__load(bpf)) {
    error_ = "loading " + path + ": " + std::strerror(errno);
    for (const auto& [program_name, log] : object->logs) {
      if (log[0]) error_ += "\n" + program_name + ":\n" + Tail(log);
    }
    return;
  }
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, bpf) {
    const std::string map_name = bpf_map__name(map);
    if (map_name[0] != '.') maps_.emplace(map_name, bpf_map__fd(map));
  }
  FillSlots(*object, config);
  objects_.push_back(std::move(object));
}

void Datapath::FillSlots(Object& object, const DatapathConfig& config) {
  for (const auto& [name, slot] : object.slots) {
    if (config.empty_slots.count(name)) continue;
    const bpf_program* program =
        bpf_object__find_program_by_name(object.bpf.get(), name.c_str());
    const int fd = bpf_program__fd(program);
    if (bpf_map_update_elem(MapFd(slot.map), &slot.slot, &fd, BPF_ANY))
      error_ = "filling slot of " + name + ": " + std::strerror(errno);
  }
}

int Datapath::ProgramFd(const std::string& program) const {
  for (const auto& object : objects_) {
    const bpf_program* found =
        bpf_object__find_program_by_name(object->bpf.get(), program.c_str());
    if (found != nullptr) return bpf_program__fd(found);
  }
  throw std::runtime_error("no program " + program);
}

int Datapath::MapFd(const std::string& map) const { return maps_.at(map); }

void Datapath::Update(const std::string& map, const void* key, const void* value) {
  ASSERT_EQ(bpf_map_update_elem(MapFd(map), key, value, BPF_ANY), 0)
      << "updating " << map << ": " << std::strerror(errno);
}

RunResult Datapath::Run(const std::string& program, const Bytes& frame, uint32_t ifindex,
                        uint32_t repeat) {
  RunResult result;
  result.frame.resize(frame.size() + 256);
  __sk_buff skb = {};
  skb.ifindex = ifindex;
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(),
              .data_out = result.frame.data(),
              .data_size_in = static_cast<uint32_t>(frame.size()),
              .data_size_out = static_cast<uint32_t>(result.frame.size()),
              .repeat = static_cast<int>(repeat));
  if (program != "xdp_prefilter") {
    options.ctx_in = &skb;
    options.ctx_size_in = sizeof(skb);
  }
  const int ret = bpf_prog_test_run_opts(ProgramFd(program), &options);
  EXPECT_EQ(ret, 0) << "running " << program << ": " << std::strerror(-ret);
  result.verdict = static_cast<int>(options.retval);
  result.frame.resize(options.data_size_out);
  result.ns = options.duration;
  return result;
}

size_t Datapath::Count(const std::string& map) const {
  std::vector<uint8_t> key(64);
  std::vector<uint8_t> next(64);
  size_t count = 0;
  const void* previous = nullptr;
  while (bpf_map_get_next_key(MapFd(map), previous, next.data()) == 0) {
    ++count;
    key = next;
    previous = key.data();
  }
  return count;
}

metrics_value Datapath::Metrics(bonsai_reason reason, bonsai_hook hook) const {
  std::vector<metrics_value> values(libbpf_num_possible_cpus());
  const uint32_t slot = METRICS_SLOT(reason, hook);
  metrics_value total = {};
  if (bpf_map_lookup_elem(MapFd("metrics"), &slot, values.data())) return total;
  for (const metrics_value& value : values) {
    total.packets += value.packets;
    total.bytes += value.bytes;
  }
  return total;
}

std::vector<flow_event> Datapath::Events() {
  ring_buffer__consume(ring_);
  std::vector<flow_event> events;
  events.swap(events_);
  return events;
}

std::map<std::string, Live> Datapath::LivePrograms() const {
  std::map<std::string, Live> all;
  for (const auto& object : objects_) {
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object->bpf.get()) {
      if (bpf_program__fd(program) >= 0)
        all[bpf_program__name(program)] = LiveOf(bpf_program__fd(program), object->slots);
    }
  }
  return all;
}

}  // namespace bonsai::testing
