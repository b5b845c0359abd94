// SPDX-License-Identifier: Apache-2.0
#include "tests/support/kernel_objects.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "agent/base/unique_fd.h"

namespace bonsai::testing {
namespace fs = std::filesystem;
namespace {

void TakeFdInfo(const fs::path& path, KernelObjects& objects) {
  std::ifstream file(path);
  std::map<std::string, uint64_t> numbers;
  std::string line;
  while (std::getline(file, line)) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    numbers[line.substr(0, colon)] = std::strtoull(line.c_str() + colon + 1, nullptr, 10);
  }
  // A link's has a prog_id, too.
  if (numbers.contains("link_id")) {
    objects.links.insert(static_cast<uint32_t>(numbers["link_id"]));
  } else if (numbers.contains("map_id")) {
    objects.maps[static_cast<uint32_t>(numbers["map_id"])] = numbers["memlock"];
  } else if (numbers.contains("prog_id")) {
    objects.programs[static_cast<uint32_t>(numbers["prog_id"])] = numbers["memlock"];
  }
}

// Opening an object by its id would disturb it: a tail-call array that is being emptied, and is
// opened and closed meanwhile, stays for ever (seen on 6.18).
template <typename NextId>
bool Exists(uint32_t id, NextId next_id) {
  uint32_t next = 0;
  return next_id(id - 1, &next) == 0 && next == id;
}

}  // namespace

uint64_t KernelObjects::Bytes() const {
  uint64_t sum = 0;
  for (const auto& [id, bytes] : maps) sum += bytes;
  for (const auto& [id, bytes] : programs) sum += bytes;
  return sum;
}

void KernelObjects::Merge(const KernelObjects& other) {
  maps.insert(other.maps.begin(), other.maps.end());
  programs.insert(other.programs.begin(), other.programs.end());
  links.insert(other.links.begin(), other.links.end());
}

bool KernelObjects::SameAs(const KernelObjects& other) const {
  const auto same_id = [](const auto& a, const auto& b) { return a.first == b.first; };
  return links == other.links &&
         std::equal(maps.begin(), maps.end(), other.maps.begin(), other.maps.end(), same_id) &&
         std::equal(programs.begin(), programs.end(), other.programs.begin(),
                    other.programs.end(), same_id);
}

std::string KernelObjects::StillThere(const KernelObjects& but) const {
  std::string text;
  const auto add = [&](const char* kind, uint32_t id) {
    text += (text.empty() ? "" : ", ") + std::string(kind) + " " + std::to_string(id);
  };
  for (const auto& [id, bytes] : maps) {
    if (!but.maps.contains(id) && Exists(id, bpf_map_get_next_id)) add("map", id);
  }
  for (const auto& [id, bytes] : programs) {
    if (!but.programs.contains(id) && Exists(id, bpf_prog_get_next_id)) add("program", id);
  }
  for (uint32_t id : links) {
    if (!but.links.contains(id) && Exists(id, bpf_link_get_next_id)) add("link", id);
  }
  return text;
}

std::string ToString(const KernelObjects& objects) {
  std::string text = "maps";
  for (const auto& [id, bytes] : objects.maps) text += " " + std::to_string(id);
  text += ", programs";
  for (const auto& [id, bytes] : objects.programs) text += " " + std::to_string(id);
  text += ", links";
  for (uint32_t id : objects.links) text += " " + std::to_string(id);
  return text;
}

KernelObjects HeldBy(pid_t process) {
  KernelObjects objects;
  std::error_code gone;
  const fs::path directory = "/proc/" + std::to_string(process) + "/fdinfo";
  for (const auto& entry : fs::directory_iterator(directory, gone)) TakeFdInfo(entry, objects);
  return objects;
}

std::vector<std::string> PinsBelow(const std::string& directory) {
  // A directory that goes while it is read: what is there is read anew.
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::vector<std::string> pins;
    std::error_code error;
    auto pin = fs::recursive_directory_iterator(directory, error);
    for (; !error && pin != fs::recursive_directory_iterator(); pin.increment(error)) {
      pins.push_back(pin->path());
    }
    if (!error) return pins;
    if (!fs::exists(directory, error)) return {};
  }
  return {};
}

KernelObjects PinnedBelow(const std::string& directory, const std::string& name) {
  KernelObjects objects;
  for (const fs::path pin : PinsBelow(directory)) {
    if (!name.empty() && pin.filename() != name) continue;
    base::UniqueFd fd(bpf_obj_get(pin.c_str()));  // not of a directory
    if (fd.valid()) TakeFdInfo("/proc/self/fdinfo/" + std::to_string(fd.get()), objects);
  }
  return objects;
}

}  // namespace bonsai::testing
