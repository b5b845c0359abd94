// SPDX-License-Identifier: Apache-2.0
// A directory as a kubelet projects a ConfigMap: a directory for each version, the link `..data` to
// the one in force, swapped by rename, and a link for each key.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace bonsai::testing {

namespace fs = std::filesystem;

// Made on construction, removed with all in it on destruction.
class TempDir {
 public:
  TempDir() {
    std::string name = (fs::temp_directory_path() / "bonsai-test-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline void WriteFile(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

class ConfigMapDir {
 public:
  using Keys = std::map<std::string, std::string>;

  explicit ConfigMapDir(fs::path path) : path_(std::move(path)) { fs::create_directories(path_); }
  const fs::path& path() const { return path_; }

  // The order of a kubelet: new version, link, links of the keys, old version removed.
  void Swap(const Keys& keys) {
    const std::string version = "..2024_06_01_" + std::to_string(++version_);
    fs::create_directory(path_ / version);
    for (const auto& [key, value] : keys) WriteFile(path_ / version / key, value);
    fs::create_directory_symlink(version, path_ / "..data_tmp");
    fs::rename(path_ / "..data_tmp", path_ / "..data");
    for (const auto& [key, value] : keys) {
      if (!fs::is_symlink(path_ / key)) fs::create_symlink("..data/" + key, path_ / key);
    }
    if (!in_force_.empty()) fs::remove_all(path_ / in_force_);
    in_force_ = version;
  }

 private:
  fs::path path_;
  std::string in_force_;
  int version_ = 0;
};

}  // namespace bonsai::testing
